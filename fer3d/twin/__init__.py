"""The synthetic twins of CK+, Oulu-CASIA, RAVDESS and CREMA-D: virtual people, rendered into the corpus's own layout.

Importing this package is light; Warp loads in the processes that render.
"""

from __future__ import annotations

from fer3d.twin.layouts import CKPLUS, OULU
from fer3d.twin.on_demand import read_twin
from fer3d.twin.settings import TwinSettings, VideoSettings
from fer3d.twin.twin import describe_twin, generate_twin
from fer3d.twin.video_layouts import CREMA_D, RAVDESS

__all__ = [
    "CKPLUS",
    "CREMA_D",
    "OULU",
    "RAVDESS",
    "TwinSettings",
    "VideoSettings",
    "describe_twin",
    "generate_twin",
    "read_twin",
]
