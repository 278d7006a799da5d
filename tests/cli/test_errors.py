"""Wrong input: one clear line, exit code not 0, no traceback."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

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
        (["sapling", "problems", "nosplit"], "no split nosplit"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else "",
)
def test_wrong_input_gets_one_line_that_says_what_to_do(words: list[str], said: str, tmp_path: Path) -> None:
    failed = ponderosa(*(word.replace("{tmp}", str(tmp_path)) for word in words))
    assert failed.returncode == 1
    assert said in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
    assert "Traceback" not in failed.stderr + failed.stdout


def test_debug_shows_the_traceback() -> None:
    failed = ponderosa("show", "/gone", "--debug")
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr


def test_help_is_fast_and_loads_no_heavy_library() -> None:
    ponderosa("--help")  # compiled by now
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        shown = ponderosa("--help")
        seconds.append(time.monotonic() - started)
    assert shown.returncode == 0
    assert min(seconds) < 0.5
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ponderosa", "--help"], capture_output=True, text=True
    ).stderr
    assert not [name for name in ("torch", "transformers", "pyarrow", "sympy") if f" {name}\n" in listed]
