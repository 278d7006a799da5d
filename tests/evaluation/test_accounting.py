import pytest

from ponderosa.core import Tree, Usage
from ponderosa.evaluation.accounting import Sizes, account

FIRST = Usage(prompt_tokens=100, cached_tokens=60, generated_tokens=30, reward_tokens=50, reward_cached_tokens=10)
SECOND = Usage(prompt_tokens=1, generated_tokens=2, executions=3)


def test_trees_are_counted_and_their_usage_is_summed() -> None:
    trees = [Tree("p", "?", usage=usage) for usage in (FIRST, SECOND)]
    trees[1].rollouts += [0, 0, 0]
    record = account(trees, Sizes(10, 7))
    assert (record["trees"], record["unanswered"], record["rollouts"]) == (2, 2, 3)
    assert (record["prompt_tokens"], record["generated_tokens"], record["executions"]) == (101, 32, 3)
    assert record["flops"] == 2 * 10 * (40 + 30 + 1 + 2) + 2 * 7 * 40


@pytest.mark.parametrize(
    ("usage", "sizes", "flops"),
    [
        (SECOND, Sizes(10), 60.0),
        (SECOND, Sizes(), None),
        (FIRST, Sizes(10), None),
        (Usage(generated_tokens=5, discriminator_tokens=2), Sizes(10), None),
        (Usage(generated_tokens=5, discriminator_tokens=2), Sizes(10, None, 100), 2.0 * (10 * 3 + 100 * 2)),
    ],
)
def test_flops_need_the_sizes_of_the_models_that_were_used(usage: Usage, sizes: Sizes, flops: float | None) -> None:
    assert account([Tree("p", "?", usage=usage)], sizes)["flops"] == flops
