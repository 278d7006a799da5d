"""`ponderosa solve` as a person sees it, in a terminal and elsewhere."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from io import FileIO
from pathlib import Path

QUESTION = "What is 1 + 2?"
ADAPTIVE = ["--method", "adaptive", "--format", "text"]
"""Two samples at a time, whose votes never settle with this policy: eight requests."""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ponderosa", "solve", QUESTION, *words]


def in_a_terminal(folder: Path, *words: str, stop_at: str | None = None) -> tuple[int, str]:
    """The exit code and all that was drawn; it is interrupted once `stop_at` is on the screen."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        command(*words), cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    drawn = ""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while (more := read(terminal)) is not None:
            drawn += more
            if stop_at is not None and stop_at in plain(drawn):
                process.send_signal(signal.SIGINT)
                stop_at = None
    return process.wait(60), plain(drawn)


def read(terminal: FileIO) -> str | None:
    """What comes next; None when the other end is closed."""
    try:
        return os.read(terminal.fileno(), 65536).decode(errors="replace")
    except OSError:
        return None


def plain(drawn: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)


def test_a_terminal_shows_the_search_and_then_its_end(mine):
    code, drawn = in_a_terminal(mine, "--model", "python:mine:Adder?off=0&slow=0.3", *ADAPTIVE)
    assert code == 0
    live, _, end = drawn.partition("Step 1")
    assert "loading the models" in live
    assert "… asking for step 1" in live
    assert re.search(r"adaptive · 0:0\d · \d+ tokens · \d requests", live)
    assert re.search(r"best so far: 3  \(confidence 0\.50\)", live)
    assert re.search(r"Answer: 3  \(confidence 0\.50, adaptive\)\s+80 tokens generated, 8 requests, \d+\.\d s", end)


def test_ctrl_c_gives_the_best_so_far_and_says_so(mine):
    words = ["--model", "python:mine:Adder?off=0&slow=1.0", *ADAPTIVE]
    code, drawn = in_a_terminal(mine, *words, stop_at="best so far: 3")
    assert code == 130
    assert "Answer: 3" in drawn
    assert "stopped: this is the best so far" in drawn
    assert "Traceback" not in drawn


def test_ctrl_c_before_there_is_an_answer_says_that(mine):
    words = ["--model", "python:mine:Adder?slow=30", *ADAPTIVE]
    code, drawn = in_a_terminal(mine, *words, stop_at="no answer yet")
    assert code == 130
    assert "stopped: no answer so far" in drawn
    assert "Answer:" not in drawn


def test_elsewhere_there_is_the_end_alone(mine):
    words = command("--model", "python:mine:Adder?slow=0.2", *ADAPTIVE)
    done = subprocess.run(words, cwd=mine, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("Step 1")
    assert "\x1b" not in done.stdout
    assert "Answer: 3" in done.stdout
    assert "best so far" not in done.stdout


def test_json_is_one_object(mine):
    words = command("--model", "python:mine:Adder", "--method", "python:mine:METHOD", "--format", "text", "--json")
    done = subprocess.run(words, cwd=mine, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)
    assert (found["question"], found["answer"], found["method"]) == (QUESTION, "3", "python:mine:METHOD")
    assert found["confidence"] == 0.6  # three samples of five
    assert found["steps"] == ["So it is \\boxed{3}."]
    assert found["usage"]["generated_tokens"] == 25
    assert found["stopped"] is False
