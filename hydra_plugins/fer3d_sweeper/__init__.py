"""What Hydra must find here to know `hydra/sweeper=optuna`; the search itself is `fer3d.search`."""
