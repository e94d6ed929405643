"""Explanations of predictions: class activation maps over space and time, and a test of their faithfulness."""
