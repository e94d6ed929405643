"""Anybody's own videos as a corpus: a table or the pattern of their paths, checked whole before anything is decoded."""

from __future__ import annotations

from fer3d.corpora.own_videos.videos import Videos

__all__ = ["Videos"]
