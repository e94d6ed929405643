"""Prediction on video: frames in, tracked faces and their emotions over time out."""

from fer3d.prediction.predictor import PredictionSettings as PredictionSettings
from fer3d.prediction.predictor import Predictor as Predictor
