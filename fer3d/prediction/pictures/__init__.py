"""Pictures of a prediction: the video with what was found, curves, and a page of both."""
