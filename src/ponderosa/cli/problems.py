"""Problems as commands take them."""

import sys
from pathlib import Path

from ponderosa.core import Problem
from ponderosa.problems import load_problems


def problems_of(name: str, data_dir: Path | None) -> list[Problem]:
    """The problems of that name; what is odd about them is said. Raises `PonderosaError`."""
    loaded = load_problems(name, data_dir)
    for note in loaded.notes:
        print(f"{name}: {note}", file=sys.stderr)
    return loaded.problems
