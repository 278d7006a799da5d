"""The policy on `transformers serve`: `make test-servers`, which installs what that needs."""

import importlib.util
import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ponderosa.cluster.model_server import ModelServer, free_port
from ponderosa.core import Ended, RefusedError, Sampling
from ponderosa.forest import read_forest
from ponderosa.sapling import base_path

from .running import FORMAT, GREEDY, begun, completions, ended, questions, search, served

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(importlib.util.find_spec("fastapi") is None, reason="transformers[serving] is not installed"),
]
PROBLEMS = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address, with the model, which it knows by its path."""
    home = tmp_path_factory.mktemp("home")
    (home / "hub").mkdir()  # without one, its list of models is an error
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = str(Path(sys.executable).with_name("transformers"))
    words = ["serve", str(base_path()), "--device", "cpu", "--dtype", "float32", "--host", "127.0.0.1"]
    command = ["env", f"HF_HOME={home}", "OMP_NUM_THREADS=1", program, *words, "--port", str(port)]
    with served(ModelServer(command, url, home / "log")):
        yield f"{url}?model={base_path()}"


def test_greedy_solutions_are_those_of_the_model_in_process(server: str, problems: Path) -> None:
    prompts = [FORMAT.render(question) for question in questions(problems)[:PROBLEMS]]
    ours = completions(str(base_path()), prompts)
    prompts += begun(prompts, ours)
    ours += completions(str(base_path()), prompts[PROBLEMS:])
    theirs = completions(server, prompts)
    assert [ended(one) for one in theirs] == [ended(one) for one in ours]
    assert {one.ended for one in ours} == {Ended.STOP}


def test_chats_in_the_models_own_template_are_those_of_the_model_in_process(server: str, problems: Path) -> None:
    prompts = [FORMAT.render(question) for question in questions(problems)[:PROBLEMS]]
    ours = completions(f"{base_path()}?api=chat", prompts)
    theirs = completions(f"{server}&api=chat", prompts)
    assert [ended(one) for one in theirs] == [ended(one) for one in ours]


def test_a_turn_that_has_begun_is_gone_on_with_in_a_further_one(server: str, problems: Path) -> None:
    """It has no way to go on with the assistant's words; made to, it says which field it does not know."""
    prompt = FORMAT.render(questions(problems)[0], ("<code>\n",))
    assert len(completions(f"{server}&api=chat", [prompt])) == 1
    with pytest.raises(RefusedError, match="continue_final_message"):
        completions(f"{server}&api=chat&prefill=yes", [prompt])


def test_samples_are_of_the_temperature_and_top_k_alone(server: str, problems: Path) -> None:
    """By itself it would draw from 50 tokens."""
    prompt = FORMAT.render(questions(problems)[0])
    hot = Sampling(1000.0, max_tokens=1)
    assert len({one.text for one in completions(server, [prompt], hot, n=100)}) > 60
    assert len({one.text for one in completions(server, [prompt], replace(hot, top_k=3), n=100)}) == 3
    greedy = completions(server, [prompt], replace(GREEDY, max_tokens=1))
    assert completions(server, [prompt], replace(hot, top_k=1))[0].text == greedy[0].text


def test_a_seed_gives_the_same_samples_where_nobody_else_asks(server: str, problems: Path) -> None:
    prompt = FORMAT.render(questions(problems)[1])
    first, second = (completions(server, [prompt], Sampling(1.0, max_tokens=60)) for _ in range(2))
    assert first == second


def test_a_text_is_cut_off_at_its_limit(server: str, problems: Path) -> None:
    (one,) = completions(server, [FORMAT.render(questions(problems)[0])], replace(GREEDY, max_tokens=5))
    assert (one.ended, one.stop, one.tokens) == (Ended.LENGTH, None, 5)


def test_a_search_through_it_solves_problems(server: str, problems: Path, tmp_path: Path) -> None:
    few = tmp_path / "problems.jsonl"
    with problems.open() as lines:
        few.write_text("".join(itertools.islice(lines, PROBLEMS)))
    process = search(few, tmp_path / "run", "--model", server, rollouts=2)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    trees = list(read_forest(tmp_path / "run" / "forest" / "tree-0"))
    assert len(trees) == PROBLEMS
    assert all(tree.outcome is None for tree in trees)
