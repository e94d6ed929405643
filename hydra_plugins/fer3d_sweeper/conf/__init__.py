"""The settings of `hydra/sweeper=optuna`, for every Hydra application."""
