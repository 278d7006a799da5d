"""Policies and rewards: models of transformers or behind servers, scripted tables, and the journal of what any said.

The classes that need torch stay behind their own modules, `transformers_policy` and `transformers_reward`, and those
that need a client behind `served_policy` and `served_reward`.
"""

from ponderosa.core import Grader, Policy, PonderosaError, Reward, StepFormat
from ponderosa.models.journal import Journal, JournaledPolicy, JournaledReward
from ponderosa.models.scripted import ScriptedGrader, ScriptedPolicy, ScriptedReward
from ponderosa.models.spec import LocalPolicySettings, LocalSettings, Spec

__all__ = [
    "Journal",
    "JournaledPolicy",
    "JournaledReward",
    "ScriptedGrader",
    "ScriptedPolicy",
    "ScriptedReward",
    "Spec",
    "load_grader",
    "load_policy",
    "load_reward",
]

_SCRIPTED = "scripted:"


def load_policy(name: str) -> Policy:
    """A policy by name (see `Spec`): a checkpoint in Hugging Face format, `http://host:port`, or `scripted:FILE`.

    Raises `PonderosaError`.
    """
    if name.startswith(_SCRIPTED):
        return ScriptedPolicy.from_file(name.removeprefix(_SCRIPTED))
    spec = Spec.parse(name)
    if spec.served:
        from ponderosa.models.served_policy import ServedPolicy

        return ServedPolicy(spec)
    from ponderosa.models.transformers_policy import TransformersPolicy

    (local,) = spec.settings(LocalPolicySettings)
    if local.api not in ("completions", "chat"):
        raise PonderosaError(f"{spec.target}: the option api is one of completions, chat")
    return TransformersPolicy(spec.target, device=local.device, dtype=local.dtype or None, chat=local.api == "chat")


def load_grader(name: str) -> Grader:
    """A scripted grader: `scripted:FILE`. Raises `PonderosaError`."""
    if not name.startswith(_SCRIPTED):
        raise PonderosaError(f"there is no grader {name}: name scripted:FILE, or none for the mathematical one")
    return ScriptedGrader.from_file(name.removeprefix(_SCRIPTED))


def load_reward(name: str, format: StepFormat) -> Reward:
    """A reward by name, as `load_policy`; `format` renders the paths that it scores. Raises `PonderosaError`."""
    if name.startswith(_SCRIPTED):
        return ScriptedReward.from_file(name.removeprefix(_SCRIPTED), format)
    spec = Spec.parse(name)
    if spec.served:
        from ponderosa.models.served_reward import ServedReward

        return ServedReward(spec, format)
    from ponderosa.models.transformers_reward import TransformersReward

    (local,) = spec.settings(LocalSettings)
    return TransformersReward(spec.target, format, device=local.device, dtype=local.dtype or None)
