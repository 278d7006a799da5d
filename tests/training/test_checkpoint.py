from pathlib import Path

import pytest

from ponderosa.core import PonderosaError
from ponderosa.training.checkpoint import read_record, staging


def test_a_checkpoint_appears_when_it_is_published_and_nothing_else_stays(tmp_path: Path) -> None:
    out = tmp_path / "round" / "policy"
    with staging(out, main=True) as stage:
        stage.scratch.mkdir()
        (stage.scratch / "optimizer.pt").write_text("large")
        stage.checkpoint.mkdir()
        (stage.checkpoint / "model.safetensors").write_text("weights")
        (stage.checkpoint / "config.json").write_text("{}")
        assert not out.exists()
        stage.publish({"kind": "sft"})
        assert (out / "model.safetensors").read_text() == "weights"
    assert [path.name for path in out.parent.iterdir()] == ["policy"]
    assert read_record(out)["kind"] == "sft"


def test_a_training_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with staging(tmp_path / "policy", main=True) as stage:
            stage.checkpoint.mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_training_left_is_cleared_away(tmp_path: Path) -> None:
    with staging(tmp_path / "policy", main=True) as stage:
        left = stage.checkpoint / "half.safetensors"
    left.parent.mkdir(parents=True)
    left.write_text("hal")
    with staging(tmp_path / "policy", main=True) as stage:
        assert not left.exists()
        assert not stage.checkpoint.exists()


def test_only_the_main_process_touches_the_disk(tmp_path: Path) -> None:
    with staging(tmp_path / "policy", main=False):
        assert list(tmp_path.iterdir()) == []


def test_an_existing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="exists already"), staging(tmp_path, main=True):
        pass


def test_a_checkpoint_from_elsewhere_has_no_record(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match=r"no readable training.json"):
        read_record(tmp_path)
