"""`ponderosa reflection`."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ponderosa.core import PonderosaError
from ponderosa.evolution.evaluation import reflection_counts
from ponderosa.evolution.run import RECIPE
from ponderosa.evolution.searching import SETTINGS, SearchRun, forests
from ponderosa.forest import read_forest
from ponderosa.view.reflection import HEAD, WORDS, row


def reflection(folder: Path, *, examples: int = 1) -> None:
    """Count the trajectories that abandon a failing line, take another and end right (docs/training-data.md).

    Parameters
    ----------
    folder
        A run of `ponderosa evolve`, counted by round, one of `ponderosa search`, or a folder or file of trees. Trees
        must have been searched with the answers known.
    examples
        How many are shown.
    """
    console = Console()
    table = Table(*HEAD)
    shown: list[dict[str, Any]] = []
    for name, model, paths in _named(folder):
        count = reflection_counts(chain.from_iterable(map(read_forest, paths)), model, examples)
        table.add_row(*row(name, count))
        shown += count["examples"]
    console.print(table)
    for example in shown[len(shown) - examples :] if examples else []:
        told = f"\n{example['problem_id']}: {WORDS[example['sign']]}, at step {example['at'] + 1}\n"
        told += f"{example['question']}\n\n" + "".join(example["steps"])
        console.print(told, markup=False, highlight=False, emoji=False)


def _named(folder: Path) -> Iterator[tuple[str, str, list[Path]]]:
    """What there is to count: its name, who proposed, and its forests. Raises `PonderosaError` if there is nothing."""
    if (folder / RECIPE).exists():
        found = sorted(folder.glob("round-*/search"), key=lambda path: int(path.parent.name.removeprefix("round-")))
        if not found:
            raise PonderosaError(f"{folder} holds no finished search yet")
        for path in found:
            number = int(path.parent.name.removeprefix("round-"))
            proposer = f"of round {number - 1}" if number > 1 else "the first"
            yield path.parent.name.replace("-", " "), proposer, sorted(path.glob("tree-*"))
    elif (folder / SETTINGS).exists():
        yield folder.name, SearchRun.of(folder).policy, forests(folder)
    else:
        yield folder.name, "", [folder]
