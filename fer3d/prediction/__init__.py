"""Predictions of trained networks on any video: frames in, faces with identities, emotions over time out."""
