"""Wrong input: one clear line, exit code not 0, no traceback."""

import errno
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.evolution.settings import find_recipe

MISSING = "{source: files, train: /gone.jsonl, test: /gone.jsonl}"


def ponderosa(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ponderosa", *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evolve", "no-such-recipe"], "sapling-quick"),
        (["evolve", "sapling-quick", "--set", "serch.c=1", "--out", "{tmp}/a"], "unknown key `serch`"),
        (["evolve", "sapling-quick", "--set", "policy=/gone", "--out", "{tmp}/b"], "no checkpoint at /gone"),
        (
            ["evolve", "sapling-quick", "--out", "{tmp}/c", "--set", f"problems={MISSING}"],
            "cannot read the problem file /gone.jsonl",
        ),
        (["solve", "What is 1 + 1?", "--model", "/gone"], "there is no checkpoint at /gone"),
        (["solve", " ", "--model", "/gone"], "the question is empty"),
        (["show", "/gone"], "not a run"),
        (["show", "{tmp}/study"], "not a run (no recipe.yaml)"),
        (["show", "{tmp}/overwritten"], "not a run: its results.json holds no rounds"),
        (["plan", "{tmp}/bytes.yaml"], "is not YAML: 'utf-8' codec"),
        (["plan", "{tmp}/half.yaml"], "is not YAML: while parsing"),
        (["grade", "{tmp}/bytes.yaml"], "cannot read"),
        (["sapling", "problems", "nosplit"], "no split nosplit"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else "",
)
def test_wrong_input_gets_one_line_that_says_what_to_do(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    (tmp_path / "half.yaml").write_text("a: [1\n")
    for folder in ("study", "overwritten"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_text('{"comparisons": []}')
    shutil.copy(find_recipe("sapling-quick"), tmp_path / "overwritten" / "recipe.yaml")
    failed = ponderosa(*(word.replace("{tmp}", str(tmp_path)) for word in words))
    assert failed.returncode == 1
    assert said in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
    assert "Traceback" not in failed.stderr + failed.stdout


@pytest.mark.parametrize("command", ["evolve", "plan", "solve", "search", "eval", "push"])
def test_help_offers_only_options_that_do_something(command: str) -> None:
    shown = ponderosa(command, "--help").stdout
    options = set(re.findall(r"--(?:no|empty)-[a-z-]+", shown))
    assert options == ({"--no-judged"} if command == "search" else set())  # its default is the preset's
    assert "[default: []]" not in shown


def test_debug_shows_the_traceback() -> None:
    failed = ponderosa("show", "/gone", "--debug")
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr


def processor_s() -> float:
    """What all processes that were started and have ended took; unlike the clock, it says something under load."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_fast_and_loads_no_heavy_library() -> None:
    ponderosa("--help")  # compiled by now
    before = processor_s()
    assert ponderosa("--help").returncode == 0
    assert processor_s() - before < 0.5
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ponderosa", "--help"], capture_output=True, text=True
    ).stderr
    assert not [name for name in ("torch", "transformers", "pyarrow", "sympy") if f" {name}\n" in listed]


def test_a_full_disk_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "read_text", full)
    with pytest.raises(SystemExit) as end:
        main(["grade", str(tmp_path)])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("ponderosa: the disk is full; free some of it")
