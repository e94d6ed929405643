"""The synthetic twin of CK+: virtual people with CK+'s counts, rendered into CK+'s own folder layout.

Importing this package is light; Warp loads in the processes that render.
"""

from __future__ import annotations

from fer3d.corpora.synthetic.settings import TwinSettings
from fer3d.corpora.synthetic.twin import describe_twin, generate_twin

__all__ = ["TwinSettings", "describe_twin", "generate_twin"]
