"""Measuring: estimates with intervals, and what sampled answers are worth."""

from ponderosa.evaluation.metrics import AGGREGATIONS, Accuracy, Sample, Sampled
from ponderosa.evaluation.statistics import Estimate

__all__ = ["AGGREGATIONS", "Accuracy", "Estimate", "Sample", "Sampled"]
