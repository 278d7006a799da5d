import asyncio
import json
from pathlib import Path

import pytest

from ponderosa.core import (
    BackendError,
    CodeFormat,
    Completion,
    Ended,
    PonderosaError,
    Problem,
    Prompt,
    Sampling,
    Scored,
)
from ponderosa.models import ScriptedGrader, ScriptedPolicy, ScriptedReward, load_policy, load_reward

FORMAT = CodeFormat()
ANY = Sampling()


def propose(policy: ScriptedPolicy, text: str, n: int) -> list[Completion]:
    return asyncio.run(policy.propose(Prompt("", text), n, ANY, seed=0))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    row = [{"text": "a", "stop_reason": "<end_of_step>"}, {"text": "b", "stop_reason": None}]
    row.append({"text": "c", "stop_reason": "length"})
    path.write_text(json.dumps({"prompt_prefix": "shots ", "table": {"Q1": row}}))
    return path


def test_a_row_gives_its_first_completions_in_order(script: Path) -> None:
    policy = ScriptedPolicy.from_file(script)
    stopped, ended, cut = propose(policy, "Q1", 3)
    assert stopped == Completion("a", Ended.STOP, "<end_of_step>")
    assert ended == Completion("b", Ended.EOS)
    assert cut == Completion("c", Ended.LENGTH)
    assert propose(policy, "Q1", 2) == [stopped, ended]


def test_a_prompt_is_found_with_the_prefix_and_without(script: Path) -> None:
    policy = ScriptedPolicy.from_file(script)
    assert propose(policy, "shots Q1", 1) == propose(policy, "Q1", 1)


def test_a_prompt_that_is_missing_is_an_error_that_shows_its_tail(script: Path) -> None:
    with pytest.raises(BackendError, match="the very end"):
        propose(ScriptedPolicy.from_file(script), "x" * 1000 + "the very end", 1)


def test_more_completions_than_a_row_has_is_an_error(script: Path) -> None:
    with pytest.raises(BackendError, match="3 completions, 4 were asked for"):
        propose(ScriptedPolicy.from_file(script), "Q1", 4)


def test_a_reward_scores_each_step_by_the_text_up_to_it() -> None:
    texts = [FORMAT.render("Q", steps).text for steps in (("s1",), ("s1", "s2"))]
    reward = ScriptedReward({texts[0]: 0.0, texts[1]: -0.5}, FORMAT)
    paths = [("Q", ("s1", "s2")), ("Q", ())]
    assert asyncio.run(reward.score(paths)) == [Scored((0.0, -0.5)), Scored(())]
    assert asyncio.run(reward.score(paths, last_only=True)) == [Scored((-0.5,)), Scored(())]


def test_a_path_without_a_score_is_an_error() -> None:
    with pytest.raises(BackendError, match="no text that reads"):
        asyncio.run(ScriptedReward({}, FORMAT).score([("Q", ("s1",))]))


def test_a_grader_knows_the_verdicts_of_its_table_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "grader.json"
    path.write_text(json.dumps({"Q": {"1": True, "2": False}}))
    grader = ScriptedGrader.from_file(path)
    problem = Problem("p", "Q")
    assert asyncio.run(grader.grade("1", problem)).correct
    assert not asyncio.run(grader.grade("2", problem)).correct
    assert asyncio.run(grader.equivalent("1", "1", problem))
    assert not asyncio.run(grader.equivalent("1", "1.0", problem))
    with pytest.raises(BackendError, match="no answer that reads"):
        asyncio.run(grader.grade("3", problem))


def test_a_scripted_backend_has_a_name_like_any_other(script: Path, tmp_path: Path) -> None:
    rewards = tmp_path / "reward.json"
    rewards.write_text(json.dumps({"prompt_prefix": "", "table": {FORMAT.render("Q", ("s",)).text: 0.25}}))
    answer = asyncio.run(load_policy(f"scripted:{script}").propose(Prompt("", "Q1"), 1, ANY, 0))
    assert answer[0].text == "a"
    assert asyncio.run(load_reward(f"scripted:{rewards}", FORMAT).score([("Q", ("s",))])) == [Scored((0.25,))]


@pytest.mark.parametrize(("content", "message"), [(None, "there is no script at"), ("{", "is not a script in JSON")])
def test_a_script_that_cannot_be_read_is_one_clear_line(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "script.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PonderosaError, match=message):
        load_policy(f"scripted:{path}")
