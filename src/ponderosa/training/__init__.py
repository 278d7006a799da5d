"""Training policies and preference models from what search found. Importing this package does not import torch."""

from ponderosa.training.accelerated import AccelerateLauncher
from ponderosa.training.cards import tell
from ponderosa.training.checkpoint import read_record
from ponderosa.training.distillation import (
    DistillationReport,
    DistillationSettings,
    OnPolicySettings,
    train_distillation,
    train_on_policy,
)
from ponderosa.training.dpo import DPOReport, DPOSettings, train_dpo
from ponderosa.training.grpo import GRPOReport, GRPOSettings, RolloutSettings, train_grpo
from ponderosa.training.launch import Launcher, launching, run_job
from ponderosa.training.ppm import PPMReport, PPMSettings, train_ppm
from ponderosa.training.reward_models import RewardModelSettings, RewardReport
from ponderosa.training.settings import (
    Evaluation,
    FitSettings,
    HeldOutSettings,
    LauncherSettings,
    LoRASettings,
    Progress,
)
from ponderosa.training.sft import SFTReport, SFTSettings, train_sft
from ponderosa.training.values import ValueReport, ValueSettings, train_values

__all__ = [
    "AccelerateLauncher",
    "DPOReport",
    "DPOSettings",
    "DistillationReport",
    "DistillationSettings",
    "Evaluation",
    "FitSettings",
    "GRPOReport",
    "GRPOSettings",
    "HeldOutSettings",
    "Launcher",
    "LauncherSettings",
    "LoRASettings",
    "OnPolicySettings",
    "PPMReport",
    "PPMSettings",
    "Progress",
    "RewardModelSettings",
    "RewardReport",
    "RolloutSettings",
    "SFTReport",
    "SFTSettings",
    "ValueReport",
    "ValueSettings",
    "launching",
    "read_record",
    "run_job",
    "tell",
    "train_distillation",
    "train_dpo",
    "train_grpo",
    "train_on_policy",
    "train_ppm",
    "train_sft",
    "train_values",
]
