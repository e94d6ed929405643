"""Facial emotion recognition in videos with 3D convolutional networks.

The system of Haddad, Lézoray and Hamel, *3D-CNN for Facial Emotion Recognition in Videos* (ISVC 2020). Data flows one
way: `corpora` -> `clips` -> `models` -> `training` -> `evaluation` -> `reporting`; `reproduction` goes through all.
Clips are tensors in the order `(B, C, T, H, W)`: batch, channel, time, height, width.
"""

from __future__ import annotations

__version__ = "0.1.0"
