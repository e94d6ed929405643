"""From sequences to batches: faces, the clip store, folds, preprocessing, augmentation, the data module."""
