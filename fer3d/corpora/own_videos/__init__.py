"""Users' own videos as a corpus, described by a table or a path pattern and checked before anything is decoded."""

from __future__ import annotations

from fer3d.corpora.own_videos.videos import Videos

__all__ = ["Videos"]
