"""Problems as Ponderosa writes them down for itself: JSON Lines, nothing lost."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from ponderosa.core import Kind, PonderosaError, Problem


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Writes a problem file, one JSON object a line, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for problem in problems:
            file.write(json.dumps({**asdict(problem), "meta": dict(problem.meta)}, ensure_ascii=False) + "\n")
    part.replace(path)


def read_problems(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Problem]:
    """Reads lines [start, stop) of a problem file. Raises `PonderosaError` that names the line that cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                if stop is not None and number >= stop:
                    return
                if number < start or not line.strip():
                    continue
                try:
                    record = json.loads(line)
                    answer = record.get("answer")
                    yield Problem(
                        str(record.get("id", number)),
                        record["question"],
                        None if answer is None else str(answer),
                        record.get("meta", {}),
                        Kind(record.get("kind", Kind.MATH)),
                    )
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise PonderosaError(
                        f"{path}, line {number + 1}: not a problem ({error!r}); a line is a JSON object "
                        '{"id": ..., "question": ..., "answer": ...}'
                    ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise PonderosaError(f"cannot read the problem file {path}: {error}") from error
