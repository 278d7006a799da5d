"""Training policies and preference models from what search found. Importing this package does not import torch."""

from ponderosa.training.checkpoint import read_record
from ponderosa.training.launch import Launcher, run_job
from ponderosa.training.ppm import Evaluation, PPMReport, PPMSettings, train_ppm
from ponderosa.training.settings import FitSettings, Progress
from ponderosa.training.sft import SFTReport, SFTSettings, train_sft

__all__ = [
    "Evaluation",
    "FitSettings",
    "Launcher",
    "PPMReport",
    "PPMSettings",
    "Progress",
    "SFTReport",
    "SFTSettings",
    "read_record",
    "run_job",
    "train_ppm",
    "train_sft",
]
