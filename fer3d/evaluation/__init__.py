"""From fold results to numbers: epoch protocols, measures, significance tests, comparisons, and tables."""
