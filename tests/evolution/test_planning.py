"""Plans: their arithmetic, and the paper's own run."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import PonderosaError
from ponderosa.evolution.assumptions import PAPER_SOLVED, Assumptions
from ponderosa.evolution.evaluating import EvalRun
from ponderosa.evolution.loops import load_recipe, parse_recipe
from ponderosa.evolution.planning import Stage, expansions, plan, plan_evaluation, total
from ponderosa.evolution.rstar_math import RStarMath

PAPER = Path(__file__).parents[2] / "recipes/rstar-math-qwen2.5-math-7b.yaml"
PUBLISHED = {
    1: 10 * 8 * 14 * 24,  # ten nodes of eight H100, about two weeks
    2: 15 * 4 * 3 * 24,  # fifteen nodes of four A100, three days a round
    3: 15 * 4 * 3 * 24,
    4: 15 * 4 * 7 * 24,  # ... and a week for the last
}
"""GPU-hours of the searches (arXiv 2501.04519, appendix A.1)."""
SIMPLE = Assumptions(
    question_tokens=100, depth=5, step_tokens=10, fresh=0.5, distinct=1, solved=0.5, policy_parameters=1e9, gpus=4
)


def recipe(**more: object) -> RStarMath:
    nothing = {"test": 0, "sampled": 0, "searched": 0, "final": 0, "dev": 0}
    rounds = [{"problems": 1000, "rollouts": 8}]
    return parse_recipe({"policy": "p", "rounds": rounds, "evaluation": nothing, **more}, "test")


def stages(found: list[Stage]) -> dict[tuple[int | None, str], Stage]:
    return {(stage.round, stage.name): stage for stage in found}


def test_the_papers_run_comes_out_within_a_factor_of_two_of_what_it_took() -> None:
    sizes = Assumptions(policy_parameters=7e9, bootstrap_parameters=236e9)
    found = plan(load_recipe(PAPER), [replace(sizes, solved=share) for share in PAPER_SOLVED])
    hours = dict.fromkeys(PUBLISHED, 0.0)
    for stage in found:
        if stage.round and (stage.name == "search" or stage.name.startswith("retry")):
            hours[stage.round] += stage.gpu_hours
    assert 0.5 < sum(hours.values()) / sum(PUBLISHED.values()) < 2
    for number, published in PUBLISHED.items():
        assert 0.5 < hours[number] / published < 2
    assert 25_000 < total(found)["gpu_hours"] < 100_000


def test_a_second_model_that_must_agree_ends_each_trajectory_as_often_as_asked() -> None:
    """500 solved problems have 2 trajectories of 5 x 10 tokens; of each 0.8 and 0.5 are written anew, 3 times."""
    mutual = {"policy": "q", "completions": {"prefixes": [0.2, 0.5], "samples": 3}}
    found = stages(plan(recipe(data={"top": 2, "mutual": mutual}), [replace(SIMPLE, second_parameters=2e9)]))
    agreement = found[1, "agreement"]
    assert agreement.work.generated == pytest.approx(1000 * 3 * 1.3 * 50)
    assert agreement.work.read == pytest.approx(1000 * (100 + 0.7 * 50))
    seconds = 4e9 * (agreement.work.generated / (22 * 2.04e12) + agreement.work.read / (312e12 * 0.4)) / 0.5
    assert agreement.gpu_hours == pytest.approx(seconds / 3600)
    with pytest.raises(PonderosaError, match="--assume second_parameters"):
        plan(recipe(data={"mutual": mutual}), [SIMPLE])


@pytest.mark.parametrize(
    ("update", "trained"), [("sft", ["SFT", "PPM"]), ("dpo", ["DPO", "PPM"]), ("sft+dpo", ["SFT", "DPO", "PPM"])]
)
def test_a_round_is_planned_with_the_trainings_of_its_update(update: str, trained: list[str]) -> None:
    found = stages(plan(recipe(update=update, dpo={"epochs": 1}), [SIMPLE]))
    assert [name for _, name in found if name.isupper()] == trained
    if "DPO" in trained:  # 8 pairs of each of 1,000 trees; 6 FLOPs of the policy and 2 of the reference
        work = found[1, "DPO"].work.trained
        assert work == 8000 * 2 * (100 + 3 * 10)
        assert found[1, "DPO"].gpu_hours == pytest.approx(8 * 1e9 * work / (312e12 * 0.4) / 3600)


def test_adapters_need_no_gradients_of_the_weights_that_they_leave_alone() -> None:
    whole, adapted = (stages(plan(recipe(sft={"lora": lora}), [SIMPLE]))[1, "SFT"].gpu_hours for lora in (None, {}))
    assert adapted == pytest.approx(whole * 4 / 6)


def test_a_search_is_counted_by_hand() -> None:
    """8 rollouts of 5 steps, half of them fresh: 5 + 7 x 2.5 expansions, of 8 candidates of 10 tokens."""
    search = stages(plan(recipe(), [SIMPLE]))[1, "search"]
    assert search.work.generated == 1000 * 22.5 * 8 * 10
    assert search.work.read == 1000 * (100 + 225)
    assert search.work.executions == search.work.nodes == 1000 * 180
    seconds = 2e9 * (search.work.generated / (22 * 2.04e12) + search.work.read / (312e12 * 0.4)) / 0.5
    assert search.gpu_hours == pytest.approx(seconds / 3600)
    assert search.dollars == pytest.approx(search.gpu_hours * 1.5)
    assert search.hours == pytest.approx(1000 * 180 / 500 / 3600)  # so small a model waits for its programs


def test_retries_are_of_what_is_unsolved_and_data_are_of_what_is_solved() -> None:
    made = recipe(rounds=[{"problems": 1000, "rollouts": 8, "retries": [16, 16]}], data={"top": 2})
    found = stages(plan(made, [replace(SIMPLE, retry_solved=0.2, pairs=3, pair_tokens=50)]))
    a_tree = 5 + 15 * 2.5
    assert found[1, "retry 1"].work.generated == pytest.approx(500 * a_tree * 80)
    assert found[1, "retry 2"].work.generated == pytest.approx(400 * a_tree * 80)
    assert found[1, "SFT"].work.trained == pytest.approx((500 + 100 + 80) * 2 * (100 + 50) * 2)  # two epochs
    assert found[1, "PPM"].work.trained == pytest.approx((1000 + 500 + 400) * 3 * 50)  # one


def test_training_goes_over_the_rows_of_earlier_rounds_if_the_recipe_says_so() -> None:
    rounds = [{"problems": 1000, "rollouts": 8}] * 2
    for history, times in ((True, 2), (False, 1)):
        found = stages(plan(recipe(rounds=rounds, data={"history": history}), [SIMPLE]))
        assert found[2, "SFT"].work.trained == pytest.approx(times * found[1, "SFT"].work.trained)
        hours = 6e9 * found[1, "SFT"].work.trained / (312e12 * 0.4) / 3600
        assert found[1, "SFT"].gpu_hours == pytest.approx(hours)
        assert found[1, "SFT"].hours == pytest.approx(hours / 4)


def test_only_rounds_with_a_reward_score_steps() -> None:
    rounds = [{"problems": 10, "rollouts": 8}, {"problems": 10, "rollouts": 8, "reward": True}]
    found = stages(plan(recipe(rounds=rounds), [SIMPLE]))
    assert found[1, "search"].work.scored == 0
    assert found[2, "search"].work.scored == pytest.approx(10 * (100 + 180 * 10))


def test_the_bootstrap_proposes_in_round_1_alone_and_on_its_own_gpus() -> None:
    made = recipe(bootstrap="http://x", rounds=[{"problems": 10, "rollouts": 8}] * 2)
    with pytest.raises(PonderosaError, match="--assume bootstrap_parameters"):
        plan(made, [SIMPLE])
    found = stages(plan(made, [replace(SIMPLE, bootstrap_parameters=10e9, prefill=1e9)]))
    first, second = found[1, "search"], found[2, "search"]
    assert first.gpu_hours / second.gpu_hours == pytest.approx(10 * 2.04 / 3.35)
    assert first.dollars / first.gpu_hours == pytest.approx(2.5)


def test_a_stated_rate_takes_the_place_of_what_the_gpu_could_do() -> None:
    search = stages(plan(recipe(), [replace(SIMPLE, tokens_per_s=1000, prefill=1e9)]))[1, "search"]
    assert search.gpu_hours == pytest.approx(search.work.generated / 1000 / 3600)


def test_the_data_of_another_reward_model_are_not_reckoned_as_a_ppms() -> None:
    with pytest.raises(PonderosaError, match="not of prm-rollouts: plan it with --set reward_model=ppm"):
        plan(recipe(reward_model="prm-rollouts"), [SIMPLE])


def test_a_model_whose_size_nothing_says_is_named() -> None:
    with pytest.raises(PonderosaError, match="how large is the policy model"):
        plan(recipe(), [Assumptions()])


@pytest.mark.parametrize(
    "wrong", [{"gpu": "abacus"}, {"solved": 1.5}, {"depth": 0}, {"busy": 0}, {"pairs": -1}, {"price": float("nan")}]
)
def test_assumptions_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PonderosaError):
        Assumptions(**wrong)  # type: ignore[arg-type]


@given(rollouts=st.integers(1, 200), problems=st.integers(1, 10**6), fresh=st.floats(0, 1))
def test_a_plan_grows_with_rollouts_and_in_proportion_to_problems(rollouts: int, problems: int, fresh: float) -> None:
    a = replace(SIMPLE, fresh=fresh)
    assert expansions(a, 1) == a.depth
    assert expansions(a, rollouts) <= expansions(a, rollouts + 1) <= a.depth * (rollouts + 1)
    one, many = (
        stages(plan(recipe(rounds=[{"problems": n, "rollouts": rollouts}]), [a]))[1, "search"] for n in (1, problems)
    )
    assert many.gpu_hours == pytest.approx(problems * one.gpu_hours)


def test_an_evaluation_counts_every_search_and_the_trees_that_vote_together() -> None:
    run = EvalRun(policy="p", reward="r", methods=("greedy", "majority", "mcts", "trees"), budgets=(1, 4))
    found = stages(plan_evaluation(run, 10, SIMPLE))
    tree = {rollouts: (5 + (rollouts - 1) * 2.5) * 8 * 10 for rollouts in (4, 16)}
    assert found[None, "greedy-1"].work.generated == 10 * 50
    assert found[None, "samples"].work.generated == 10 * 4 * 50
    assert found[None, "mcts-4"].work.generated == 10 * tree[4]
    assert found[None, "4 trees"].work.generated == 10 * 4 * tree[16]
    mutual = EvalRun(policy="p", discriminator="d", methods=("mutual",), format="text")
    with pytest.raises(PonderosaError, match="no estimate for mutual"):
        plan_evaluation(mutual, 10, SIMPLE)
