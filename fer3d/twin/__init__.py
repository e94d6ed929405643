"""Synthetic twins of CK+, Oulu-CASIA, RAVDESS and CREMA-D: virtual people, rendered in each corpus's own layout.

Importing this package does not import Warp; only the processes that render do.
"""

from __future__ import annotations

from fer3d.twin.generation import describe_twin, generate_twin
from fer3d.twin.layouts import CKPLUS, CREMA_D, OULU, RAVDESS
from fer3d.twin.settings import TwinSettings, VideoSettings

__all__ = [
    "CKPLUS",
    "CREMA_D",
    "OULU",
    "RAVDESS",
    "TwinSettings",
    "VideoSettings",
    "describe_twin",
    "generate_twin",
]
