"""What searches cost, as their trees say."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ponderosa.core import Tree, Usage


@dataclass(frozen=True, slots=True)
class Sizes:
    """Parameters of the models; None where they are not known."""

    policy: int | None = None
    reward: int | None = None


def account(trees: Iterable[Tree], sizes: Sizes) -> dict[str, Any]:
    """The number of trees, their summed `Usage`, and the FLOPs that were computed for it (None: sizes not known)."""
    usages = [tree.usage for tree in trees]
    usage = sum(usages, Usage())
    return {"trees": len(usages), **asdict(usage), "flops": computed_flops(usage, sizes)}


def computed_flops(usage: Usage, sizes: Sizes) -> float | None:
    """2 x parameters x tokens of both models (Kaplan et al., arXiv 2001.08361, section 2.1), without what caches knew.

    It depends on the caches' sizes, and on what was asked before. For methods compared see `curves.Cost.flops`.
    """
    read = usage.reward_tokens - usage.reward_cached_tokens
    if sizes.policy is None or (read and sizes.reward is None):
        return None
    policy = usage.generated_tokens + usage.prompt_tokens - usage.cached_tokens
    return 2.0 * sizes.policy * policy + 2.0 * (sizes.reward or 0) * read
