import json
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core import PonderosaError, make_format
from ponderosa.training.cards import Model, model_card, percent, tell, write_card, written_here

RECORD: dict[str, Any] = {
    "kind": "sft",
    "start": "models/base",
    "rows": ["data/sft"],
    "seed": 7,
    "settings": {"epochs": 2},
    "report": {"rows": 1200, "steps": 30, "tokens": 98765, "loss_start": 1.25, "loss_end": 0.5}
    | {"kept": {"step": 30, "loss": 0.75, "accuracy": 0.8}},
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (tmp_path / "training.json").write_text(json.dumps(RECORD))
    write_card(tmp_path, "runs/demo/policy")
    return tmp_path


def test_a_card_says_data_settings_start_seed_tokens_and_loss(checkpoint: Path) -> None:
    text = (checkpoint / "README.md").read_text()
    for told in ("`models/base`", "- `data/sft`", '"seed": 7', '"epochs": 2', "98,765 tokens", "from 1.25 to 0.5"):
        assert told in text
    assert "1,200 trajectories" in text
    assert "it is 0.75, with an accuracy of 80.0%" in text
    assert "ponderosa train runs/demo/policy/training.json --out OTHER" in text
    assert 'pipeline_tag: "text-generation"' in text


def test_a_run_adds_the_round_the_scores_and_the_command(checkpoint: Path) -> None:
    rate = {"value": 0.626, "low": 0.5834, "high": 0.667, "n": 500}
    tell(checkpoint, recipe="demo", round=2, command="ponderosa evolve demo", scores={"greedy": rate})
    text = (checkpoint / "README.md").read_text()
    assert "in round 2 of the recipe `demo`" in text
    assert "| greedy | 62.6 (58.3-66.7), n = 500 |" in text
    assert "ponderosa evolve demo" in text
    tell(checkpoint, decontamination="Decontamination: 0 of 9 were left out.")
    assert "Decontamination: 0 of 9 were left out." in (checkpoint / "README.md").read_text()
    assert json.loads((checkpoint / "training.json").read_text())["report"] == RECORD["report"]


def test_a_card_that_a_person_edited_is_known(checkpoint: Path) -> None:
    write_card(checkpoint)
    assert written_here(checkpoint)
    (checkpoint / "README.md").write_text("mine")
    assert not written_here(checkpoint)


def test_a_card_stays_ours_where_its_folder_goes(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("elsewhere") / "policy"
    checkpoint.rename(moved)
    assert written_here(moved)
    tell(moved, round=3)
    assert written_here(moved)
    moved.rename(checkpoint)


def test_a_card_that_a_kill_left_behind_is_written_again(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("ponderosa.training.cards.write_card", lambda folder: None)
        tell(checkpoint, recipe="demo", round=7)
    assert "in round 7" not in (checkpoint / "README.md").read_text()
    tell(checkpoint, recipe="demo", round=7)
    assert "in round 7" in (checkpoint / "README.md").read_text()
    assert written_here(checkpoint)


def test_a_card_shows_the_prompt_of_the_models_own_format(checkpoint: Path) -> None:
    assert "<end_of_code>" in (checkpoint / "README.md").read_text()
    tell(checkpoint, recipe="demo", round=1, format="think")
    text = (checkpoint / "README.md").read_text()
    assert make_format("think").render("QUESTION").text in text
    assert "`think`" in text
    assert "<end_of_code>" not in text


def test_what_was_not_trained_here_is_told_nothing(tmp_path: Path) -> None:
    tell(tmp_path, round=1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PonderosaError, match="it is no checkpoint"):
        Model.of(tmp_path)


def test_a_card_of_which_nothing_is_known_has_what_it_is_and_how_to_use_it() -> None:
    text = model_card(Model("me/tiny-ppm", values=True, scale=5))
    assert "tanh(logit / 5)" in text
    assert "## How it was made" not in text
    assert "## Measured" not in text


def test_rates_are_percent() -> None:
    assert percent(0.5) == "50.0"
    assert percent(0.5, 0.4, 0.6) == "50.0 (40.0-60.0)"
