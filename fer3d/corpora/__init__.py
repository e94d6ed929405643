"""Data sets as distributed: each module turns one raw folder into a list of labelled sequences."""
