"""Models by their names. What a model needs (torch, a client, llama.cpp, vLLM) is imported when one is loaded."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path

from ponderosa.core import PYTHON, Grader, Policy, PonderosaError, Reward, StepFormat, load_component
from ponderosa.models.judge import Asks, JudgeGrader, JudgeReward, split_judge
from ponderosa.models.prm_inputs import kind_of
from ponderosa.models.scripted import ScriptedGrader, ScriptedPolicy, ScriptedReward
from ponderosa.models.spec import GGUFSettings, LocalPolicySettings, LocalRewardSettings, Spec, VLLMSettings

_SCRIPTED = "scripted:"


def load_policy(name: str) -> Policy:
    """A policy by name (see `Spec`): a checkpoint in Hugging Face format, a GGUF file, `http://host:port`,
    `scripted:FILE`, or a user's own, `python:module:attribute` (see `core.components`).

    Raises `PonderosaError`.
    """
    if split_judge(name):
        raise PonderosaError(f"{name} judges and proposes nothing: name it as --reward, --discriminator or --grader")
    if name.startswith(PYTHON):
        own: Policy = load_component(name, "propose")
        return own
    if name.startswith(_SCRIPTED):
        return ScriptedPolicy.from_file(name.removeprefix(_SCRIPTED))
    spec = Spec.parse(name)
    if spec.served:
        from ponderosa.models.served.policy import ServedPolicy

        return ServedPolicy(spec)
    if spec.gguf:
        (gguf,) = spec.settings(GGUFSettings)
        try:
            from ponderosa.models.llamacpp.policy import LlamaCppPolicy
        except ModuleNotFoundError as error:
            raise PonderosaError(f"{spec.target} needs {error.name}: pip install 'ponderosa[gguf]'") from error
        return LlamaCppPolicy(Path(spec.target), context=gguf.context, threads=gguf.threads)
    in_vllm = spec.options.get("engine") == "vllm"
    (local,) = spec.settings(VLLMSettings if in_vllm else LocalPolicySettings)
    if in_vllm:
        try:
            from ponderosa.models.vllm_policy import VLLMPolicy
        except ImportError as error:
            raise PonderosaError(f"engine=vllm: {error}; pip install vllm, or serve the model elsewhere") from error
        return VLLMPolicy(spec.target, local)
    from ponderosa.models.transformers.policy import TransformersPolicy

    return TransformersPolicy(spec.target, device=local.device, dtype=local.dtype or None, chat=local.api == "chat")


def load_grader(name: str, load: Callable[[str], Policy] = load_policy, asks: Asks | None = None) -> Grader:
    """A grader by name: `judge:POLICY`, whose policy `load` makes and which is asked what `asks` says (see
    `JudgeGrader`), one of a user's own, or `scripted:FILE`.

    Raises `PonderosaError`.
    """
    if judge := split_judge(name):
        policy, settings = judge
        return JudgeGrader(load(policy), settings, asks)
    if name.startswith(PYTHON):
        own: Grader = load_component(name, "grade", "equivalent")
        return own
    if not name.startswith(_SCRIPTED):
        raise PonderosaError(
            f"there is no grader {name}: name judge:POLICY, python:module:attribute or scripted:FILE, or none for that "
            "of each problem's kind"
        )
    return ScriptedGrader.from_file(name.removeprefix(_SCRIPTED))


def load_discriminator(name: str, load: Callable[[str], Policy] = load_policy) -> Policy | Reward:
    """A second policy by name, or `judge:POLICY`, whose policy `load` makes. Raises `PonderosaError`."""
    if judge := split_judge(name):
        policy, settings = judge
        return JudgeReward(load(policy), settings)
    return load(name)


def load_reward(name: str, format: StepFormat, load: Callable[[str], Policy] = load_policy) -> Reward:
    """A reward by name, as `load_policy`, or `judge:POLICY`, whose policy `load` makes; `format` renders the paths that
    it scores. Raises `PonderosaError`.
    """
    if judge := split_judge(name):
        policy, settings = judge
        return JudgeReward(load(policy), settings)
    if name.startswith(PYTHON):
        own: Reward = load_component(name, "score", format=format)
        return own
    if name.startswith(_SCRIPTED):
        return ScriptedReward.from_file(name.removeprefix(_SCRIPTED), format)
    spec = Spec.parse(name)
    if spec.served:
        from ponderosa.models.served.reward import ServedReward

        return ServedReward(spec, format)
    from ponderosa.models.transformers.loading import architecture
    from ponderosa.models.transformers.reward import TransformersReward

    (local,) = spec.settings(LocalRewardSettings)
    kind = kind_of(spec.target, architecture(spec.target), local.kind)
    return TransformersReward(spec.target, format, kind=kind, device=local.device, dtype=local.dtype or None)


def free_memory() -> None:
    """Gives back the memory of an accelerator that models which are no longer held have left."""
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
