"""The paper: its printed numbers, its tables with ours beside them, and the plan that reproduces it."""
