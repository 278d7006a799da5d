"""From a name to problems.

A name is a file (`.jsonl`, `.json`, `.csv`, `.parquet`), a benchmark (`aime24`), `reasoning-gym:FAMILY` or
`hub:OWNER/NAME`. Options follow after `?`: the columns `question`, `answer` and `id`, a `limit`; `size` and `seed` of
reasoning-gym; `split` and `config` of the Hub.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from ponderosa.core import PonderosaError, Problem, boxed_answer
from ponderosa.problems.benchmarks import BENCHMARKS

QUESTIONS = ("question", "problem", "prompt", "input")
ANSWERS = ("answer", "final_answer", "expected_answer", "target", "solution")
IDS = ("id", "unique_id", "index", "idx")
LONGEST = 20_000
"""Characters of a question; a longer one is probably no question."""
OPTIONS = ("question", "answer", "id", "limit", "size", "seed", "split", "config")

Row = tuple[str, Mapping[str, Any]]
"""Where it stands (`line 3`), and its columns."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """`notes` say what is odd about the problems, a line each."""

    problems: list[Problem]
    notes: list[str]


def load_problems(name: str, data_dir: Path | None = None) -> Loaded:
    """Raises `PonderosaError`, which says what to do, if there are none or if one is none."""
    target, _, query = name.partition("?")
    try:
        options = dict(parse_qsl(query, strict_parsing=True) if query else [])
    except ValueError:
        raise PonderosaError(f"{name}: options are written ?name=value&name=value") from None
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise PonderosaError(f"{target} has no option {unknown[0]}: choose of {', '.join(OPTIONS)}")
    rows = _rows(target, options, data_dir)
    problems = [_problem(row, place, number, options, target) for number, (place, row) in enumerate(rows)]
    limit = _whole(options, "limit", len(problems))
    problems = problems[:limit]
    if not problems:
        raise PonderosaError(f"{target} holds no problems")
    if len({problem.id for problem in problems}) < len(problems):
        raise PonderosaError(f"{target}: two problems have one id; give each its own, or leave ids out")
    return Loaded(problems, list(_notes(problems)))


def _rows(target: str, options: dict[str, str], data_dir: Path | None) -> Iterable[Row]:
    if target.startswith("reasoning-gym:"):
        return _reasoning_gym(target.removeprefix("reasoning-gym:"), options)
    if target.startswith("hub:"):
        return _hub(target.removeprefix("hub:"), options)
    path = Path(target)
    if target in BENCHMARKS and not path.is_file():
        return _benchmark(target, options, data_dir)
    if data_dir is not None and not path.exists():
        path = data_dir / target
    if path.suffix not in _READERS:
        known = f"a file that ends with {', '.join(_READERS)}, reasoning-gym:FAMILY, hub:OWNER/NAME"
        raise PonderosaError(f"there are no problems named {target}: name {known}, or one of {', '.join(BENCHMARKS)}")
    try:
        return list(_READERS[path.suffix](path))
    except (OSError, UnicodeDecodeError) as error:
        raise PonderosaError(f"cannot read the problem file {path}: {error}") from error


def _benchmark(name: str, options: dict[str, str], data_dir: Path | None) -> Iterable[Row]:
    """A local copy if there is one, else the Hub's."""
    benchmark = BENCHMARKS[name]
    if data_dir is not None:
        names = {stem.lower() for stem in (name, *benchmark.files)}
        found = [path for path in sorted(data_dir.iterdir()) if path.stem.lower() in names and path.suffix in _READERS]
        if found:
            return _READERS[found[0].suffix](found[0])
        raise PonderosaError(f"{data_dir} holds no {name}: a file {name}.json, .jsonl, .csv or .parquet is expected")
    columns = {"question": benchmark.question, "answer": benchmark.answer, "split": benchmark.split}
    options |= {key: value for key, value in columns.items() if key not in options}
    if benchmark.config is not None:
        options.setdefault("config", benchmark.config)
    return _hub(benchmark.hub, options)


def _hub(name: str, options: Mapping[str, str]) -> Iterator[Row]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise PonderosaError("data sets of the Hub need the package datasets: pip install 'ponderosa[train]'") from None
    try:
        found = load_dataset(name, options.get("config"), split=options.get("split", "test"))
    except Exception as error:  # of many kinds: no network, no such data set, no such split
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise PonderosaError(
            f"cannot load {name} from the Hub: {reason}; --data-dir names a folder of copies"
        ) from error
    return ((f"row {number}", row) for number, row in enumerate(found))


def _reasoning_gym(family: str, options: Mapping[str, str]) -> Iterator[Row]:
    try:
        import reasoning_gym
    except ImportError:
        raise PonderosaError("reasoning-gym is not installed: pip install 'ponderosa[sapling]'") from None
    size, seed = _whole(options, "size", 100), _whole(options, "seed", 0)
    try:
        found = reasoning_gym.create_dataset(family, size=size, seed=seed)
    except ValueError as error:
        raise PonderosaError(f"reasoning-gym has no family {family}: {error}") from error
    rows = (found[number] for number in range(size))
    return (
        (f"problem {number}", {"id": f"{family}-{seed}-{number}", "question": row["question"], "answer": row["answer"]})
        for number, row in enumerate(rows)
    )


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except ValueError as error:
                raise PonderosaError(
                    f"{path}, line {number}: not a problem ({error}); a line is a JSON object"
                ) from error


def _json(path: Path) -> Iterator[Row]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PonderosaError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, list):
        raise PonderosaError(f"{path}: a list of objects is expected, one a problem")
    return ((f"entry {number}", row) for number, row in enumerate(found))


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            yield f"row {number}", row


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except pa.ArrowInvalid as error:
        raise PonderosaError(f"{path} is not a Parquet file: {error}") from error
    return ((f"row {number}", row) for number, row in enumerate(rows))


_READERS = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}


def _problem(row: Any, place: str, number: int, options: Mapping[str, str], source: str) -> Problem:
    if not isinstance(row, Mapping):
        raise PonderosaError(f"{source}, {place}: not a problem; an object with a question and an answer is expected")
    question = _column(row, options.get("question"), QUESTIONS, f"{source}, {place}")
    if not isinstance(question, str) or not question.strip():
        columns = ", ".join(map(str, row))
        raise PonderosaError(
            f"{source}, {place}: not a problem, it has no question (its columns: {columns}); name the column with "
            "?question=COLUMN"
        )
    answer = _answer(_column(row, options.get("answer"), ANSWERS, f"{source}, {place}"))
    name = _column(row, options.get("id"), IDS, f"{source}, {place}")
    meta = row.get("meta")
    return Problem(str(number if name is None else name), question, answer, meta if isinstance(meta, Mapping) else {})


def _column(row: Mapping[str, Any], named: str | None, usual: tuple[str, ...], place: str) -> Any:
    if named is None:
        return next((row[name] for name in usual if row.get(name) is not None), None)
    if named not in row:
        raise PonderosaError(f"{place}: there is no column {named}, only {', '.join(map(str, row))}")
    return row[named]


def _answer(value: Any) -> str | None:
    """The answer alone: of GSM8K's solutions what follows the mark, of others what is in the box, of a list its one."""
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if value is None or value == []:
        return None
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value).strip()
    _, mark, rest = text.rpartition("####")
    return (rest.strip() if mark else boxed_answer(text) or text) or None


def _whole(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit():
        raise PonderosaError(f"the option {name} is a whole number, not {text!r}")
    return int(text)


def _notes(problems: list[Problem]) -> Iterator[str]:
    lacking = [problem.id for problem in problems if problem.answer is None]
    if lacking:
        yield f"{len(lacking)} of {len(problems)} problems have no answer, e.g. {lacking[0]}"
    asked = Counter(problem.question.strip() for problem in problems)
    if twice := [question for question, count in asked.items() if count > 1]:
        yield f"{len(twice)} questions are asked more than once, e.g. {twice[0][:80]!r}"
    if long := [problem.id for problem in problems if len(problem.question) > LONGEST]:
        yield f"{len(long)} questions have more than {LONGEST:,} characters, e.g. that of {long[0]}"
