"""Measuring: estimates with intervals, and what sampled answers are worth."""

from ponderosa.evaluation.metrics import Accuracy, Sample, Sampled
from ponderosa.evaluation.statistics import Estimate

__all__ = ["Accuracy", "Estimate", "Sample", "Sampled"]
