"""The campaign that attacks fer3d: `python -m torture` damages what it reads and kills what it runs."""
