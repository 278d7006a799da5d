import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], list[dict[str, Any]]]:
    """Reads a file of the folder `shared` beside the repository; skips the test where there is none."""

    def load(name: str) -> list[dict[str, Any]]:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{name} is not beside the repository")
        return json.loads(path.read_text())

    return load
