"""Pictures of a prediction: video overlay, timeline, and an HTML page with both."""
