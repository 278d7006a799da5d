"""`ponderosa gguf`: from a run or a checkpoint to a file that answers."""

import shutil
from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.sapling import base_path


def ponderosa(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


@pytest.mark.gguf
def test_the_last_policy_of_a_run_answers_from_four_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: `make test-gguf`")
    run = tmp_path / "run"
    (run / "round-9" / "policy").mkdir(parents=True)  # a round before the last, with no model
    shutil.copytree(base_path(), run / "round-10" / "policy")
    (run / "recipe.yaml").write_text("policy: sapling\n")
    file = tmp_path / "p.gguf"
    assert ponderosa("gguf", str(run), "--out", str(file), "--type", "q4_0") == 0
    assert "0.7 MiB" in capsys.readouterr().out
    question = "Ann has 12 apples. Ben has 7 fewer apples than Ann. How many apples do Ann and Ben have together?"
    assert ponderosa("solve", question, "--model", str(file), "--method", "majority") == 0
    assert "Answer: 17" in capsys.readouterr().out
    assert ponderosa("gguf", str(run), "--out", str(file)) == 1
    assert "exists: choose another --out" in capsys.readouterr().err


def test_a_run_without_a_policy_is_told_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.yaml").write_text("policy: sapling\n")
    assert ponderosa("gguf", str(tmp_path), "--out", str(tmp_path / "p.gguf")) == 1
    assert "has no policy yet: go on with" in capsys.readouterr().err
