"""What searches cost, as their trees say."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ponderosa.core import Outcome, Tree, Usage


@dataclass(frozen=True, slots=True)
class Sizes:
    """Parameters of the models; None where they are not known."""

    policy: int | None = None
    reward: int | None = None
    discriminator: int | None = None

    def flops(self, policy: float, reward: float, discriminator: float) -> float | None:
        """2 x parameters x tokens of each model (Kaplan et al., arXiv 2001.08361, section 2.1); None where the size of
        one that was used is not known.
        """
        used = ((self.policy, policy), (self.reward, reward), (self.discriminator, discriminator))
        if self.policy is None or any(size is None and tokens for size, tokens in used):
            return None
        return 2.0 * sum((size or 0) * tokens for size, tokens in used)


def account(trees: Iterable[Tree], sizes: Sizes) -> dict[str, Any]:
    """The number of trees, how many of them a backend `refused` and how many have no answer (`unanswered`), their
    `rollouts` in all (a tree in which nothing is left to expand has fewer than it was allowed) and summed `Usage`, and
    the FLOPs that were computed for it (None: sizes not known).
    """
    count, refused, unanswered, rollouts, usage = 0, 0, 0, 0, Usage()
    for tree in trees:
        count += 1
        refused += tree.outcome is Outcome.BACKEND_FAILED
        unanswered += not any(True for _ in tree.answered())
        rollouts += len(tree.rollouts)
        usage += tree.usage
    counts = {"trees": count, "refused": refused, "unanswered": unanswered, "rollouts": rollouts}
    return {**counts, **asdict(usage), "flops": computed_flops(usage, sizes)}


def computed_flops(usage: Usage, sizes: Sizes) -> float | None:
    """Those of all tokens but the ones that caches knew; a discriminator's prompts count as the policy's.

    It depends on the caches' sizes, and on what was asked before. For methods compared see `curves.Cost.flops`.
    """
    policy = usage.generated_tokens - usage.discriminator_tokens + usage.prompt_tokens - usage.cached_tokens
    return sizes.flops(policy, usage.reward_tokens - usage.reward_cached_tokens, usage.discriminator_tokens)
