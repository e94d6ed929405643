"""Figures and the static HTML page that show what runs achieved."""
