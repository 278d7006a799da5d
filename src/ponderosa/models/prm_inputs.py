"""What process reward models of other people read of a path, and where in it they value its steps.

Each kind is prepared as its authors do it. A step is shown as plain text (`ponderosa.core.plain_text`), since none of
them knows our markers. At a step's place the model gives the probability p that the step is right; the value is
v = 2p - 1, which is tanh(d / 2) where p = sigmoid(d): `d` is a value head's logit, or the difference of two logits.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ponderosa.core import PonderosaError, RefusedError, plain_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SCALE = 2.0
"""What `d` is divided by before the tanh."""

PPM = "ppm"
"""The kind of our own models, a sequence classifier with one label, which read what a step format renders."""


class Reading(NamedTuple):
    """The tokens that a model reads, and for each step the index of the one whose output values it; it ends there."""

    tokens: list[int]
    places: list[int]


class PRMInput(Protocol):
    """A kind's way to read, made of its tokenizer; making it raises `PonderosaError` where that lacks something."""

    @property
    def answers(self) -> tuple[int, int] | None:
        """The tokens for right and wrong, whose logits as the next token are the value; None with a head for it."""
        ...

    def read(self, question: str, steps: Sequence[str]) -> Reading:
        """There is at least one step. Raises `RefusedError` for a text that cannot be read."""
        ...


class MathShepherd:
    """A line a step, ended by the tag ` ки`, at which a causal model predicts `+` or `-`.

    Source: the card of peiyi9979/math-shepherd-mistral-7b-prm (arXiv 2312.08935).
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._tag = _token(tokenizer, "ки")
        right, wrong = _tokens(tokenizer, "+ -", 2)
        self.answers = (right, wrong)

    def read(self, question: str, steps: Sequence[str]) -> Reading:
        lines = "\n".join(f"{plain_text(step)} ки" for step in steps)
        return _up_to_tags(list(self._tokenizer(f"{question} {lines}")["input_ids"]), self._tag, steps)


class QwenMathPRM:
    """A chat whose assistant's turn has `<extra_0>` after each step, where a head of two classes stands.

    Source: the card of Qwen/Qwen2.5-Math-PRM-7B (arXiv 2501.07301).
    """

    SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
    TAG = "<extra_0>"

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = _with_template(tokenizer)
        self._tag = _token(tokenizer, self.TAG)
        self.answers = None

    def read(self, question: str, steps: Sequence[str]) -> Reading:
        turns = [
            {"role": "system", "content": self.SYSTEM},
            {"role": "user", "content": question},
            {"role": "assistant", "content": "".join(plain_text(step) + self.TAG for step in steps)},
        ]
        return _up_to_tags(_chat(self._tokenizer, turns, False), self._tag, steps)


class SkyworkPRM:
    """The question and the steps, each ended by a line break, at which a value head stands. Lines are tokenized alone.

    Source: `prepare_input` of github.com/SkyworkAI/skywork-o1-prm-inference, model_utils/io_utils.py. There every line
    is a step; ours may have several, and is valued at the last one's end.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        if tokenizer.bos_token is None:
            raise PonderosaError(f"{tokenizer.name_or_path} is no Skywork-o1-Open-PRM: its tokenizer has no bos_token")
        self._tokenizer = tokenizer
        self._line_break = _token(tokenizer, "\n")
        self.answers = None

    def read(self, question: str, steps: Sequence[str]) -> Reading:
        tokens = _encoded(self._tokenizer, f"{self._tokenizer.bos_token}{question}\n")
        places = []
        for step in steps:
            for line in plain_text(step).split("\n"):
                tokens += [*_encoded(self._tokenizer, line), self._line_break]
            places.append(len(tokens) - 1)
        return Reading(tokens, places)


class RLHFlowPRM:
    """A chat: each step is the user's turn, the first with the question before it, and each is answered by `+`. Its
    value is how much rather the model would answer `+` than `-`.

    Source: github.com/RLHFlow/RLHF-Reward-Modeling, math-rm/prm_evaluate.py, which asks once a step; since the turns
    before are all answered by `+`, one pass over the last of these chats gives the same.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = _with_template(tokenizer)
        self.answers = (_token(tokenizer, "+"), _token(tokenizer, "-"))

    def read(self, question: str, steps: Sequence[str]) -> Reading:
        turns: list[dict[str, str]] = []
        tokens: list[int] = []
        places = []
        for step in map(plain_text, steps):
            turns.append({"role": "user", "content": step if turns else f"{question} {step}"})
            longer = _chat(self._tokenizer, turns, True)
            if longer[: len(tokens)] != tokens:
                raise RefusedError(f"the chat template of {self._tokenizer.name_or_path} does not keep earlier turns")
            tokens = longer
            places.append(len(tokens) - 1)
            turns.append({"role": "assistant", "content": "+"})
        return Reading(tokens, places)


PRM_INPUTS: dict[str, Callable[["PreTrainedTokenizerBase"], PRMInput]] = {
    "math-shepherd": MathShepherd,
    "qwen2.5-math-prm": QwenMathPRM,
    "skywork-o1-prm": SkyworkPRM,
    "rlhflow": RLHFlowPRM,
}
"""By the kind of the model."""

ARCHITECTURES = {"Qwen2ForProcessRewardModel": "qwen2.5-math-prm", "Qwen2ForPrmModel": "skywork-o1-prm"}
"""The architectures, as a checkpoint's config names them, that can be of one kind only."""


def kind_of(name: str, architecture: str, asked: str) -> str:
    """The kind of the checkpoint `name`: the one `asked` for, or that of its architecture; either may be empty.

    Raises `PonderosaError` where there is no such kind, where it cannot be that, or where it may be several.
    """
    kinds = (PPM, *PRM_INPUTS)
    if asked and asked not in kinds:
        raise PonderosaError(f"there is no kind {asked} of reward model: choose one of {', '.join(kinds)}")
    if architecture in ARCHITECTURES:
        kinds = (ARCHITECTURES[architecture],)
    elif architecture.endswith("ForCausalLM"):
        kinds = ("math-shepherd", "rlhflow")
    elif architecture:
        kinds = (PPM,)
    if asked and asked not in kinds:
        raise PonderosaError(f"{name} is a {architecture}, whose kind is {' or '.join(kinds)}, not {asked}")
    if not asked and architecture and len(kinds) > 1:
        raise PonderosaError(
            f"{name} is a {architecture}: say how it values steps, with ?kind={' or ?kind='.join(kinds)}, or name a PPM"
        )
    return asked or kinds[0]


def _tokens(tokenizer: "PreTrainedTokenizerBase", text: str, count: int) -> list[int]:
    """The tokens of `text`. Raises `PonderosaError` if there are not `count`."""
    found = _encoded(tokenizer, text)
    if len(found) != count:
        raise PonderosaError(
            f"{tokenizer.name_or_path} is no process reward model of this kind: its tokenizer makes {len(found)} "
            f"tokens, not {count}, of {text!r}"
        )
    return found


def _token(tokenizer: "PreTrainedTokenizerBase", text: str) -> int:
    return _tokens(tokenizer, text, 1)[0]


def _encoded(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Without what the tokenizer puts at the start of every text."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _with_template(tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    if not tokenizer.chat_template:
        raise PonderosaError(
            f"{tokenizer.name_or_path} is no process reward model of this kind: its tokenizer has no chat template"
        )
    return tokenizer


def _chat(tokenizer: "PreTrainedTokenizerBase", turns: list[dict[str, str]], answered: bool) -> list[int]:
    """The tokens of a chat; with `answered` up to where the assistant's next turn begins."""
    return _encoded(
        tokenizer, str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answered))
    )


def _up_to_tags(tokens: list[int], tag: int, steps: Sequence[str]) -> Reading:
    places = [place for place, token in enumerate(tokens) if token == tag]
    if len(places) != len(steps):
        raise RefusedError(
            f"{len(places)} step tags for {len(steps)} steps: the question or a step holds the tag itself"
        )
    return Reading(tokens[: places[-1] + 1], places)
