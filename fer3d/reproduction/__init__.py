"""Everything the paper reports on a corpus, one step after the other: runs, evaluation, comparison, report."""
