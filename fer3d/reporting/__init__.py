"""Figures and static HTML pages of runs and studies."""
