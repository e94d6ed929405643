"""The search: which trial to try, and which of its folds to train next."""
