"""When more samples would not change a vote: the rule by which a problem is given up early.

Adaptive-consistency (Aggarwal et al., arXiv 2305.11860): with v1 votes for the leading answer and v2 for the next, the
probability that the leader is ahead in truth is that of Beta(v1 + 1, v2 + 1) above 1/2.
"""

import math
from collections.abc import Mapping


def lead(votes: Mapping[str, int]) -> tuple[int, int]:
    """The votes of the two leading answers; 0 where there is none."""
    first, second, *_ = [*sorted(votes.values(), reverse=True), 0, 0]
    return first, second


def confidence(votes: Mapping[str, int]) -> float:
    """The probability that the leading answer is ahead in truth; 1/2 without votes."""
    first, second = lead(votes)
    n = first + second + 1
    # The distribution function of a Beta at 1/2 is a tail of a binomial: of n throws of a coin more than v1 are heads.
    return 1 - sum(math.comb(n, heads) for heads in range(first + 1, n + 1)) / float(2**n)


def settled(votes: Mapping[str, int], left: int, threshold: float) -> bool:
    """Can the vote not change any more with `left` further samples, or is its leader sure enough?"""
    first, second = lead(votes)
    return first - second > left or (first > 0 and confidence(votes) >= threshold)
