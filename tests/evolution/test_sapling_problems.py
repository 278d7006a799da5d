import hashlib

import pytest

from ponderosa.core import Kind, PonderosaError
from ponderosa.evolution.problems import problem_source
from ponderosa.evolution.recipe import ProblemSettings
from ponderosa.evolution.stages import checkpoint
from ponderosa.sapling import BASES, base_path, problems
from ponderosa.sapling.programs import code_step, instructions, paragraphs


def test_a_recipe_chooses_the_flavour_of_the_world():
    for task, kind in (("math", Kind.MATH), ("choice", Kind.CHOICE), ("code", Kind.CODE)):
        source = problem_source(ProblemSettings(task=task), 0, 0)
        assert {problem.kind for problem in [*source.train(0, 4), *source.held_out("test", 4)]} == {kind}
    source = problem_source(ProblemSettings(language="eo", arithmetic=0), 0, 0)
    assert {problem.meta["language"] for problem in source.train(0, 4)} == {"eo"}


def test_the_problems_that_figures_were_published_on_stay_what_they_are():
    drawn = [p for split in ("train", "dev", "test") for p in problems(split, 0, 0, 40)]
    text = "\n".join(f"{p.id} {p.question} {p.answer}" for p in drawn)
    assert hashlib.sha256(text.encode()).hexdigest().startswith("b326ee8b8ce4ef4e")  # of version 0.1's own


def test_the_truth_of_programs_is_known_step_by_step():
    source = problem_source(ProblemSettings(task="code", levels=(2,)), 0, 0)
    problem = next(p for p in source.train(0, 20) if len(instructions(p)[1].ways) > 1)
    first, second, last = (one.ways for one in instructions(problem))
    wrong = [first[0], second[1], last[0]]
    assert source.truths(problem, [*paragraphs(problem, wrong), code_step(problem, wrong)]) == [
        True,
        False,
        False,
        False,
    ]


def test_bases_are_known_by_name():
    assert checkpoint("sapling") == str(base_path())
    assert set(BASES) == {"sapling", "sapling-small", "sapling-polyglot"}
    with pytest.raises(PonderosaError, match="choose one of sapling, sapling-small"):
        base_path("sapling-enormous")


def test_a_base_that_is_missing_says_how_it_is_made(monkeypatch):
    monkeypatch.setitem(BASES, "sapling-small", ("nowhere", "--size small --tokens 7"))
    with pytest.raises(PonderosaError, match=r"ponderosa sapling pretrain .*nowhere --size small --tokens 7"):
        checkpoint("sapling-small")
