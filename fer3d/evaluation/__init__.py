"""Numbers out of fold results: epoch protocols, measures, significance tests, the paper's numbers, and tables."""
