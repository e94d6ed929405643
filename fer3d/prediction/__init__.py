"""Predictions of trained networks on any video: frames in, faces with identities, emotions over time out."""

from fer3d.prediction.predictor import PredictionSettings as PredictionSettings
from fer3d.prediction.predictor import Predictor as Predictor
