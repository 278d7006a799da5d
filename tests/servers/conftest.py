import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    command = [sys.executable, "-m", "ponderosa", "sapling", "problems", "test", "--count", "50"]
    path.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return path
