"""The synthetic twins of CK+, Oulu-CASIA, RAVDESS and CREMA-D: virtual people, rendered into the corpus's own layout.

Importing this package is light; Warp loads in the processes that render.
"""

from __future__ import annotations

from fer3d.corpora.synthetic.layouts import CKPLUS, OULU
from fer3d.corpora.synthetic.on_demand import read_twin
from fer3d.corpora.synthetic.settings import TwinSettings, VideoSettings
from fer3d.corpora.synthetic.twin import describe_twin, generate_twin
from fer3d.corpora.synthetic.video_layouts import CREMA_D, RAVDESS

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
