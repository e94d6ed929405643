"""Fault injection: `python -m torture` damages fer3d's inputs and results and kills its processes."""
