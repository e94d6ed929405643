"""Detection, tracking and re-identification of the faces in a video."""
