"""A grid of saplings through the public command: pre-trained, killed on the way, measured, fitted and reported."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

GRID: dict[str, Any] = {
    "name": "Tiny",
    "sizes": ["tiny", "small"],
    "tokens": [30_000, 60_000],
    "documents": 8,
    "problems": {"levels": [1], "arithmetic": 0},
    "count": 8,
    "samples": [1, 3],
    "sample": {"max_depth": 8, "max_tokens": 60},
    "workers": {"processes": 2},
}


def test_a_grid_goes_on_after_a_kill_and_is_fitted_and_reported(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(GRID))
    out = tmp_path / "runs" / "grid"
    command = [sys.executable, "-m", "ponderosa", "scaling", "tiny.yaml", "--out", "runs/grid", "--resamples", "20"]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not list(out.glob("cells/*/model.safetensors")):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()
    first.wait()
    made = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/model.safetensors")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    cells = list(out.glob("cells/*/model.safetensors"))
    assert {path.parent.name for path in cells} == {f"{s}-{t}-0" for s in ("tiny", "small") for t in (30_000, 60_000)}
    assert all(path.stat().st_mtime_ns == at for path, at in made.items())
    rows = [json.loads(line) for line in (out / "points.jsonl").read_text().splitlines()]
    losses = {(row["model"], row["tokens"]): row["loss"] for row in rows}
    assert len(losses) == 4
    assert all(1 < loss < 7 for loss in losses.values())  # nats a token; ln(1024) = 6.9 knows nothing
    assert {(row["method"], row["samples"]) for row in rows} >= {("greedy", 1), ("majority", 3), ("pass", 3)}
    assert "fits.json" in {path.name for path in out.iterdir()}
    assert "What these data do not determine" in (out / "report.html").read_text()
    trained = {path: path.stat().st_mtime_ns for path in cells}
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=600).returncode == 0
    assert trained == {path: path.stat().st_mtime_ns for path in cells}
