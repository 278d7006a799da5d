"""What a plan takes for granted, and why. docs/planning.md gives the sources."""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from ponderosa.core import PonderosaError


class Accelerator(NamedTuple):
    """A GPU: dense bfloat16 `flops` a second and bytes of memory read a second, by its data sheet, and dollars an hour,
    about what it is let for.
    """

    flops: float
    bandwidth: float
    price: float


GPUS = {
    "a100": Accelerator(312e12, 2.04e12, 1.5),
    "a100-40": Accelerator(312e12, 1.56e12, 1.2),
    "h100": Accelerator(989e12, 3.35e12, 2.5),
    "h200": Accelerator(989e12, 4.8e12, 3.5),
    "l40s": Accelerator(362e12, 0.864e12, 1.0),
    "rtx4090": Accelerator(165e12, 1.01e12, 0.4),
}
"""Every GPU that a plan knows by name; for another one, state `flops`, `bandwidth` and `price`."""


def _about(value: Any, why: str) -> Any:
    return field(default=value, metadata={"why": why})


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Every assumption of a plan; each says in its metadata, `why`, what it means and where its default comes from."""

    question_tokens: float = _about(150, "tokens of a question in its template: about 100 words")
    depth: float = _about(6, "steps of a trajectory, its answer included")
    step_tokens: float = _about(
        45,
        "tokens of a candidate: 32 of them at each fresh step of a rollout are 6,480; the paper's are 3,299 to 15,693",
    )
    fresh: float = _about(
        0.75, "share of its steps that a rollout after the first expands: of 6 steps it shares the first one or two"
    )
    distinct: float = _about(0.8, "share of the candidates that is no duplicate of another")
    executions: float = _about(1.0, "programs run for a node")
    solved: float = _about(0.78, "share of the problems that a round's first search solves (the paper's table 2)")
    retry_solved: float = _about(
        1 / 3, "share of its problems that a retry solves: 77.86 to 90.25 % in the paper's two"
    )
    filled: float = _about(1.0, "share of the `data.top` trajectories that a solved problem has")
    pairs: float = _about(8, "preference pairs of a tree: 2 x 2 at two of its nodes")
    pair_tokens: float = _about(130, "tokens of a pair: two steps, and an eighth of the prefix that eight pairs share")
    node_bytes: float = _about(100, "bytes of a node on disk: 4 a token, compressed to a half, and its figures")
    policy_parameters: float | None = _about(None, "of the checkpoint, or as its name says")
    bootstrap_parameters: float | None = _about(
        None, "likewise; of a mixture of experts all, which a batch of some dozens reads at every step"
    )
    second_parameters: float | None = _about(None, "of the model that must agree (`data.mutual`), likewise")
    reward_parameters: float | None = _about(None, "those of the policy, which a PPM starts from")
    gpu: str = _about("a100", "of policy, PPM and training; the paper has a100-40 for the search")
    gpus: int = _about(0, "0: one for each process that trains, by the recipe")
    flops: float = _about(0.0, "a second of a GPU; 0: of the data sheet")
    bandwidth: float = _about(0.0, "bytes a second; 0: of the data sheet")
    price: float = _about(0.0, "dollars a GPU-hour; 0: about what it was let for in 2025")
    bootstrap_gpu: str = _about("h100", "of the model of round 1, as in the paper")
    bootstrap_gpus: int = _about(8, "one replica of it")
    batch: float = _about(
        22, "tokens made for each time that all weights are read: 22 to 28 in LMDeploy's benchmark of Llama-2 on A100"
    )
    prefill: float = _about(0.4, "share of the FLOP/s in reading and scoring: large matrices, as in training")
    training: float = _about(0.4, "share of the FLOP/s in training: Llama 3 reports 38 to 43 %")
    busy: float = _about(
        0.5, "share of a search's time in which its GPU has a full batch; the rest waits for programs and ends"
    )
    tokens_per_s: float = _about(0.0, "generated on a GPU; 0: by `batch` and `busy`")
    bootstrap_tokens_per_s: float = _about(0.0, "likewise")
    executions_per_s: float = _about(
        500.0, "programs a second on all processors: hundreds to thousands (docs/sandbox.md)"
    )

    def __post_init__(self) -> None:
        for name in (self.gpu, self.bootstrap_gpu):
            if name not in GPUS and not (self.flops and self.bandwidth and name == self.gpu):
                raise PonderosaError(
                    f"there is no GPU {name}: choose of {', '.join(GPUS)}, or state flops and bandwidth"
                )
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, int | float) and not 0 <= value < float("inf"):
                raise PonderosaError(f"the assumption {f.name} is {value}: a number of 0 or more is expected")
        if not (self.depth >= 1 and self.solved <= 1 and self.retry_solved <= 1 and self.executions_per_s):
            raise PonderosaError("a trajectory has at least one step, shares are at most 1, and programs take time")
        if not (self.batch and self.prefill and self.training and self.busy and self.bootstrap_gpus):
            raise PonderosaError("what GPUs do at a share or a batch of 0 takes for ever")

    @property
    def accelerator(self) -> Accelerator:
        """The GPU of all but the bootstrap."""
        known = GPUS.get(self.gpu, Accelerator(0.0, 0.0, 0.0))
        return Accelerator(self.flops or known.flops, self.bandwidth or known.bandwidth, self.price or known.price)

    def size(self, model: str) -> float:
        """Parameters of "policy", "bootstrap", "second" or "reward". Raises `PonderosaError` where nothing says."""
        found: float | None = getattr(self, f"{model}_parameters")
        if found is None and model == "reward":
            found = self.policy_parameters
        if found is None:
            raise PonderosaError(f"how large is the {model} model? Say so: --assume {model}_parameters=7e9")
        return found


PAPER_SOLVED = (0.6017, 0.6660, 0.7786)
"""Shares of the 747k problems solved in rounds 1 to 3 (arXiv 2501.04519, table 2); round 4 begins like round 3."""
