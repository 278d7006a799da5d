"""Process reward models of other people: values are compared with what their own cards and repositories compute."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2Model

from ponderosa.core import BackendError, CodeFormat, PonderosaError, RefusedError, Scored
from ponderosa.core import Path as StepPath
from ponderosa.models import load_reward

from . import prm_checkpoints
from .prm_checkpoints import MAKERS

FORMAT = CodeFormat()
QUESTION = "She has 16 eggs. How many are left?"
STEPS = (
    "<code>\n# Step 1: She eats three\n\nx = 16 - 3\n<end_of_step>",
    "\nprint(x)\n<end_of_code>\n<output>13<end_of_output>",
    "\n<answer>13 are left: \\boxed{13}\n<end_of_answer>",
)
PLAIN = ("# Step 1: She eats three\nx = 16 - 3", "print(x)\nOutput: 13", "13 are left: \\boxed{13}")
"""What readers that know nothing of the format see of these steps."""


def by_math_shepherd(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """The card of peiyi9979/math-shepherd-mistral-7b-prm."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    candidates = tokenizer.encode("+ -")[1:]
    tag = tokenizer.encode("ки")[-1]
    ids = torch.tensor([tokenizer.encode(f"{question} " + " ки\n".join(steps) + " ки")])
    scores = model(ids).logits[:, :, candidates].softmax(dim=-1)[:, :, 0]
    return scores[ids == tag].tolist()


def by_qwen(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """The card of Qwen/Qwen2.5-Math-PRM-7B, its head applied by hand."""
    tokenizer, weights = AutoTokenizer.from_pretrained(folder), load_file(folder / "model.safetensors")
    messages = [
        {"role": "system", "content": "Please reason step by step, and put your final answer within \\boxed{}."},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    ids = torch.tensor([tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False))])
    hidden = base(folder, weights)(ids).last_hidden_state
    layer = torch.relu(hidden @ weights["score.0.weight"].T + weights["score.0.bias"])
    logits = layer @ weights["score.2.weight"].T + weights["score.2.bias"]
    return logits[ids == tokenizer.encode("<extra_0>")[0]].softmax(dim=-1)[:, 1].tolist()


def by_skywork(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """`prepare_input` and the value head of skywork-o1-prm-inference, where every line is a step."""
    tokenizer, weights = AutoTokenizer.from_pretrained(folder), load_file(folder / "model.safetensors")
    ids, flags = tokenizer.encode(tokenizer.bos_token + question + "\n"), []
    ends = [("\n".join(steps[: i + 1])).count("\n") for i in range(len(steps))]
    for line in "\n".join(steps).split("\n"):
        ids += [*tokenizer.encode(line), tokenizer.encode("\n")[-1]]
        flags.append(len(ids) - 1)
    hidden = base(folder, weights)(torch.tensor([ids])).last_hidden_state[0]
    logits = hidden @ weights["v_head.summary.weight"][0] + weights["v_head.summary.bias"]
    return logits.sigmoid()[flags][ends].tolist()


def by_rlhflow(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """math-rm/prm_evaluate.py of RLHFlow/RLHF-Reward-Modeling: a chat and a pass a step."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    candidates = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]
    conversation: list[dict[str, str]] = []
    scores = []
    for k, step in enumerate(steps):
        conversation.append({"content": f"{question} {step}" if k == 0 else step, "role": "user"})
        conversation.append({"content": "+", "role": "assistant"})
        ids = tokenizer.apply_chat_template(conversation, return_tensors="pt", return_dict=True)["input_ids"]
        scores.append(float(model(ids).logits[0, -3, candidates].softmax(dim=-1)[0]))
    return scores


def base(folder: Path, weights: dict[str, Any]) -> Qwen2Model:
    model = Qwen2Model(Qwen2Config.from_pretrained(folder)).eval()
    inner = {name.removeprefix("model."): weight for name, weight in weights.items() if name.startswith("model.")}
    model.load_state_dict(inner)
    return model


RECIPES: dict[str, Callable[[Path, str, Sequence[str]], list[float]]] = {
    "math-shepherd": by_math_shepherd,
    "qwen2.5-math-prm": by_qwen,
    "skywork-o1-prm": by_skywork,
    "rlhflow": by_rlhflow,
}
IN_WORDS = ("math-shepherd", "rlhflow")
WITH_HEADS = ("qwen2.5-math-prm", "skywork-o1-prm")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    return {kind: make(tmp_path_factory.mktemp("prm") / kind) for kind, make in MAKERS.items()}


def score(name: str, paths: Sequence[StepPath], **more: Any) -> list[Scored]:
    reward = load_reward(name, FORMAT)
    try:
        return asyncio.run(reward.score(paths, **more))
    finally:
        reward.close()


def named(folders: dict[str, Path], kind: str) -> str:
    return f"{folders[kind]}?kind={kind}&device=cpu&dtype=float32"


@pytest.mark.parametrize("kind", RECIPES)
def test_values_are_what_the_models_authors_compute(folders: dict[str, Path], kind: str) -> None:
    paths = [(QUESTION, STEPS[:end]) for end in (3, 1, 2)] + [("What is x?", STEPS[1:])]
    plain = [PLAIN, PLAIN[:1], PLAIN[:2], PLAIN[1:]]
    with torch.inference_mode():
        theirs = [
            [2 * p - 1 for p in RECIPES[kind](folders[kind], question, steps)]
            for (question, _), steps in zip(paths, plain, strict=True)
        ]
    ours = [one.values for one in score(named(folders, kind), paths)]
    assert len({round(value, 3) for values in theirs for value in values}) >= 5  # of eight; three paths begin alike
    for mine, their in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(their, abs=1e-5)
    last = [one.values for one in score(named(folders, kind), paths, last_only=True)]
    for values, their in zip(last, theirs, strict=True):
        assert values == pytest.approx(their[-1:], abs=1e-5)


def test_a_model_with_a_sliding_window_is_computed_without_sharing_to_the_same_values(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    """As Math-Shepherd's Mistral has one, beyond which these texts do not reach."""
    windowed = prm_checkpoints.math_shepherd(tmp_path / "windowed", window=512)
    paths = [(QUESTION, STEPS), ("What is x?", STEPS[1:])]
    found = score(f"{windowed}?kind=math-shepherd", paths)
    assert all(one.cached_tokens == 0 for one in found)
    for one, other in zip(found, score(named(folders, "math-shepherd"), paths), strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-5)


@pytest.mark.parametrize("kind", RECIPES)
def test_no_steps_are_no_values_and_a_path_beyond_the_context_is_refused(folders: dict[str, Path], kind: str) -> None:
    assert score(named(folders, kind), [(QUESTION, ())]) == [Scored(())]
    with pytest.raises(RefusedError, match="exceeds the reward model's context of 1024"):
        score(named(folders, kind), [(QUESTION, ("x " * 1100,))])


@pytest.mark.parametrize("kind", WITH_HEADS)
def test_what_the_config_says_for_certain_need_not_be_named(folders: dict[str, Path], kind: str) -> None:
    path = [(QUESTION, STEPS)]
    assert score(str(folders[kind]), path) == score(named(folders, kind), path)


@pytest.mark.parametrize("kind", IN_WORDS)
def test_a_language_model_is_asked_how_it_values_steps(folders: dict[str, Path], kind: str) -> None:
    with pytest.raises(PonderosaError, match=r"ForCausalLM: say how .* \?kind=math-shepherd or \?kind=rlhflow"):
        load_reward(str(folders[kind]), FORMAT)


def test_a_wrong_kind_is_one_clear_line(folders: dict[str, Path], reward_folder: Path) -> None:
    with pytest.raises(PonderosaError, match=r"no kind orm of reward model: choose one of ppm, math-shepherd, qwen2.5"):
        load_reward(f"{reward_folder}?kind=orm", FORMAT)
    with pytest.raises(PonderosaError, match="is a Qwen2ForPrmModel, whose kind is skywork-o1-prm, not rlhflow"):
        load_reward(f"{folders['skywork-o1-prm']}?kind=rlhflow", FORMAT)
    with pytest.raises(PonderosaError, match="is a LlamaForSequenceClassification, whose kind is ppm, not math-sheph"):
        load_reward(f"{reward_folder}?kind=math-shepherd", FORMAT)
    with pytest.raises(
        PonderosaError, match="is a MistralForCausalLM, whose kind is math-shepherd or rlhflow, not ppm"
    ):
        load_reward(f"{folders['math-shepherd']}?kind=ppm", FORMAT)


def test_a_tokenizer_without_what_the_kind_needs_is_one_clear_line(
    folders: dict[str, Path], policy_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(PonderosaError, match=r"no process reward model of this kind: its tokenizer makes .* of 'ки'"):
        load_reward(f"{folders['rlhflow']}?kind=math-shepherd", FORMAT)
    with pytest.raises(
        PonderosaError, match="no process reward model of this kind: its tokenizer has no chat template"
    ):
        load_reward(f"{policy_folder}?kind=rlhflow", FORMAT)
    with pytest.raises(PonderosaError, match="its tokenizer has no bos_token"):
        load_reward(str(prm_checkpoints.skywork(tmp_path / "skywork", bos=None)), FORMAT)


def test_a_checkpoint_without_the_head_is_one_clear_line(folders: dict[str, Path], tmp_path: Path) -> None:
    one = prm_checkpoints.qwen_math_prm(tmp_path / "one", classes=1)
    with pytest.raises(
        PonderosaError, match=r"has no weights score.2.bias, score.2.weight for a Qwen2ForProcessReward"
    ):
        load_reward(str(one), FORMAT)
    config = json.loads((one / "config.json").read_text()) | {"architectures": ["Qwen2ForPrmModel"]}
    (one / "config.json").write_text(json.dumps(config))
    with pytest.raises(PonderosaError, match=r"has no weights v_head.summary.bias, v_head.summary.weight"):
        load_reward(str(one), FORMAT)


@pytest.mark.parametrize(("kind", "tag"), [("math-shepherd", "ки"), ("qwen2.5-math-prm", "<extra_0>")])
def test_a_text_with_the_models_own_tag_is_refused_and_others_are_not(
    folders: dict[str, Path], kind: str, tag: str
) -> None:
    reward = load_reward(named(folders, kind), FORMAT)

    async def both() -> list[Any]:
        paths: list[StepPath] = [(f"What is {tag} ?", STEPS), (QUESTION, STEPS)]
        return await asyncio.gather(*(reward.score([path]) for path in paths), return_exceptions=True)

    refused, scored = asyncio.run(both())
    reward.close()
    assert isinstance(refused, RefusedError)
    assert str(refused).startswith("4 step tags for 3 steps")
    assert len(scored[0].values) == 3


def test_a_closed_model_says_so(folders: dict[str, Path]) -> None:
    reward = load_reward(named(folders, "rlhflow"), FORMAT)
    reward.close()
    with pytest.raises(BackendError, match="is closed"):
        asyncio.run(reward.score([(QUESTION, STEPS)]))
