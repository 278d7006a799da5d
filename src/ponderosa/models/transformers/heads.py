"""The models that value steps, by kind, and what their heads make of hidden states.

The heads of other people's architectures are declared here, so that a checkpoint is read without code of its own.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import Qwen2Model, Qwen2PreTrainedModel

from ponderosa.core import PonderosaError
from ponderosa.models.prm_inputs import PPM


class Qwen2ForProcessRewardModel(Qwen2PreTrainedModel):
    """Qwen2.5-Math-PRM: a head of two layers and two classes, wrong and right (modeling_qwen2_rm.py of its card)."""

    _keys_to_ignore_on_load_unexpected = [r"^lm_head\."]  # noqa: RUF012 - transformers wants a list

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.model = Qwen2Model(config)
        self.score = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 2))
        self.post_init()  # type: ignore[no-untyped-call]

    def step_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.score(hidden).float()
        return logits[:, 1] - logits[:, 0]


class Qwen2ForPrmModel(Qwen2PreTrainedModel):
    """Skywork-o1-Open-PRM: a linear value head, `v_head.summary` (model_utils/prm_model.py of its repository)."""

    _keys_to_ignore_on_load_unexpected = [r"^lm_head\."]  # noqa: RUF012 - transformers wants a list

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        self.v_head = nn.ModuleDict({"summary": nn.Linear(config.hidden_size, 1)})
        self.post_init()  # type: ignore[no-untyped-call]

    def step_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.v_head["summary"](hidden)
        return logits.squeeze(-1).float()


MODELS: dict[str, Any] = {
    PPM: AutoModelForSequenceClassification,
    "math-shepherd": AutoModelForCausalLM,
    "qwen2.5-math-prm": Qwen2ForProcessRewardModel,
    "skywork-o1-prm": Qwen2ForPrmModel,
    "rlhflow": AutoModelForCausalLM,
}
"""What loads a checkpoint of a kind."""

Head = Callable[[Tensor], Tensor]
"""Hidden states [N, D] -> logits [N]."""


def head_of(name: str, model: Any, answers: tuple[int, int] | None) -> Head:
    """The head of the loaded `model`; with `answers`, the logits of these two as its next token, right less wrong.

    Raises `PonderosaError` for a model that has no such head.
    """
    if answers is not None:
        right, wrong = answers
        vocabulary = model.get_output_embeddings()

        def difference(hidden: Tensor) -> Tensor:
            logits: Tensor = vocabulary(hidden).float()
            return logits[:, right] - logits[:, wrong]

        return difference
    if isinstance(model, Qwen2ForProcessRewardModel | Qwen2ForPrmModel):
        return model.step_logits
    if model.config.num_labels != 1 or not hasattr(model, "score"):
        raise PonderosaError(f"{name} is no reward model: a causal sequence classifier with one label is needed")
    return lambda hidden: model.score(hidden).squeeze(-1).float()
