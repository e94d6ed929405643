"""The synthetic twins of CK+ and of Oulu-CASIA: virtual people, rendered into the corpus's own folder layout.

Importing this package is light; Warp loads in the processes that render.
"""

from __future__ import annotations

from fer3d.corpora.synthetic.layouts import CKPLUS, OULU
from fer3d.corpora.synthetic.on_demand import read_twin
from fer3d.corpora.synthetic.settings import TwinSettings
from fer3d.corpora.synthetic.twin import describe_twin, generate_twin

__all__ = ["CKPLUS", "OULU", "TwinSettings", "describe_twin", "generate_twin", "read_twin"]
