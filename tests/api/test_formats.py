"""A run of `evolve` says how its models write steps, wherever it is named."""

from pathlib import Path

import pytest

import ponderosa
from ponderosa.api.evaluating import evaluation_run
from ponderosa.core import PonderosaError
from ponderosa.evolution.eval_recipe import EvalRecipe
from ponderosa.evolution.searching import search_run


@pytest.fixture
def run(tmp_path: Path) -> str:
    """Its steps are text, and its policy has no weights."""
    (tmp_path / "run" / "round-1" / "policy").mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_text("policy: sapling\nformat: text\n")
    return str(tmp_path / "run")


def test_a_question_is_asked_in_the_runs_format(run: str) -> None:
    mutual = {"policy": run, "method": "mutual", "discriminator": "scripted:gone.json"}
    with pytest.raises(PonderosaError, match="holds no checkpoint"):  # mutual reasoning takes steps in words
        ponderosa.search("What is 2 + 2?", **mutual)
    with pytest.raises(PonderosaError, match="--format text"):
        ponderosa.search("What is 2 + 2?", **mutual, format="rstar")


def test_trees_are_made_in_it_unless_a_preset_or_the_user_says_otherwise(run: str) -> None:
    assert search_run(run, None, None, {}).format == "text"
    assert search_run(run, "rstar-math", None, {}).format == "rstar"
    assert search_run(run, "rstar-math", None, {}, format="fenced").format == "fenced"


def test_methods_are_compared_in_it_unless_a_recipe_or_the_user_says_otherwise(run: str) -> None:
    def asked(recipe: EvalRecipe, **others: str) -> str:
        return evaluation_run(run, None, ["greedy"], {}, {}, recipe, **others).format

    assert asked(EvalRecipe("problems.jsonl")) == "text"
    assert asked(EvalRecipe("problems.jsonl", settings={"format": "fenced"})) == "fenced"
    assert asked(EvalRecipe("problems.jsonl"), format="rstar") == "rstar"
