"""Policies and rewards: models of transformers, scripted tables, and the journal that records and replays either.

The classes that need torch stay behind their own modules: `transformers_policy` and `transformers_reward`.
"""

from ponderosa.core import Grader, Policy, PonderosaError, Reward, StepFormat
from ponderosa.models.journal import Journal, JournaledPolicy, JournaledReward
from ponderosa.models.scripted import ScriptedGrader, ScriptedPolicy, ScriptedReward

__all__ = [
    "Journal",
    "JournaledPolicy",
    "JournaledReward",
    "ScriptedGrader",
    "ScriptedPolicy",
    "ScriptedReward",
    "load_grader",
    "load_policy",
    "load_reward",
]

_SCRIPTED = "scripted:"


def load_policy(spec: str) -> Policy:
    """A policy by name: a checkpoint in Hugging Face format, or `scripted:FILE`. Raises `PonderosaError`."""
    if spec.startswith(_SCRIPTED):
        return ScriptedPolicy.from_file(spec.removeprefix(_SCRIPTED))
    from ponderosa.models.transformers_policy import TransformersPolicy

    return TransformersPolicy(spec)


def load_grader(spec: str) -> Grader:
    """A scripted grader: `scripted:FILE`. Raises `PonderosaError`."""
    if not spec.startswith(_SCRIPTED):
        raise PonderosaError(f"there is no grader {spec}: name scripted:FILE, or none for the mathematical one")
    return ScriptedGrader.from_file(spec.removeprefix(_SCRIPTED))


def load_reward(spec: str, format: StepFormat) -> Reward:
    """A reward by name, as `load_policy`; `format` renders the paths that it scores. Raises `PonderosaError`."""
    if spec.startswith(_SCRIPTED):
        return ScriptedReward.from_file(spec.removeprefix(_SCRIPTED), format)
    from ponderosa.models.transformers_reward import TransformersReward

    return TransformersReward(spec, format)
