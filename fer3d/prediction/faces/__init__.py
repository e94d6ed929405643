"""The faces of a video: found, tracked, and recognised when they come back."""
