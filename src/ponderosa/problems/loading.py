"""From a name to problems.

A name is a file (`.jsonl`, `.json`, `.csv`, `.parquet`), a benchmark (`aime24`), `reasoning-gym:FAMILY` or
`hub:OWNER/NAME`. Options follow after `?`: the columns `question`, `answer`, `id` and `choices`, the `kind` of all
problems, a `tolerance` (or its column), a `limit`; `size` and `seed` of reasoning-gym; `split` and `config` of the Hub.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from ponderosa.core import Kind, PonderosaError, Problem, split_options
from ponderosa.problems.benchmarks import BENCHMARKS
from ponderosa.problems.rows import Columns, to_problem

LONGEST = 20_000
"""Characters of a question; a longer one is probably no question."""
COLUMNS = tuple(field.name for field in fields(Columns))
OPTIONS = (*COLUMNS, "limit", "size", "seed", "split", "config")

Row = tuple[str, Mapping[str, Any]]
"""Where it stands (`line 3`), and its columns."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """`notes` say what is odd about the problems, a line each."""

    problems: list[Problem]
    notes: list[str]

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def __len__(self) -> int:
        return len(self.problems)


def load_problems(name: str, data_dir: Path | None = None) -> Loaded:
    """Raises `PonderosaError`, which says what to do, if there are none or if one is none."""
    problems = list(stream_problems(name, data_dir))
    target, _ = split_options(name)
    if not problems:
        raise PonderosaError(f"{target} holds no problems")
    if len({problem.id for problem in problems}) < len(problems):
        raise PonderosaError(f"{target}: two problems have one id; give each its own, or leave ids out")
    return Loaded(problems, list(_notes(problems)))


def stream_problems(name: str, data_dir: Path | None = None) -> Iterator[Problem]:
    """The problems one by one, for what holds more of them than memory; nothing is said of them all.

    Raises `PonderosaError` where it comes to what is no problem.
    """
    target, options = split_options(name)
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise PonderosaError(f"{target} has no option {unknown[0]}: choose of {', '.join(OPTIONS)}")
    columns = Columns(**{name: options[name] for name in COLUMNS if name in options})
    limit = _whole(options, "limit", 0) if "limit" in options else None
    rows = islice(_rows(target, options, data_dir), limit)
    return (to_problem(row, f"{target}, {place}", number, columns) for number, (place, row) in enumerate(rows))


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
    return _file(path)


def _file(path: Path) -> Iterator[Row]:
    try:
        yield from _READERS[path.suffix](path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PonderosaError(f"cannot read the problem file {path}: {error}") from error


def _benchmark(name: str, options: dict[str, str], data_dir: Path | None) -> Iterable[Row]:
    """A local copy if there is one, else the Hub's."""
    benchmark = BENCHMARKS[name]
    if data_dir is not None:
        names = {stem.lower() for stem in (name, *benchmark.files)}
        found = [path for path in sorted(data_dir.iterdir()) if path.stem.lower() in names and path.suffix in _READERS]
        if found:
            return _file(found[0])
        raise PonderosaError(f"{data_dir} holds no {name}: a file {name}.json, .jsonl, .csv or .parquet is expected")
    own = {name: getattr(benchmark, name) for name in ("question", "answer", "split", "config")}
    options |= {name: value for name, value in own.items() if value is not None and name not in options}
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
            f"cannot load {name} from the Hub: {reason}; --data-dir, or a recipe's data_dir, names a folder of copies"
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
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = _parsed(line)
                except (ValueError, RecursionError) as error:
                    raise PonderosaError(
                        f"{path}, line {number}: not a problem ({error}); a line is a JSON object"
                    ) from error
                yield f"line {number}", row


def _json(path: Path) -> Iterator[Row]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        found = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise PonderosaError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, list):
        raise PonderosaError(f"{path}: a list of objects is expected, one a problem")
    return ((f"entry {number}", row) for number, row in enumerate(found))


def _parsed(text: str) -> Any:
    """JSON. Raises ValueError also for half a character, which it can say and no file can hold."""
    found = json.loads(text)
    if "\\u" in text:
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            yield f"row {number}", row


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = pq.ParquetFile(path).iter_batches()
        rows = (row for batch in batches for row in batch.to_pylist())
        yield from ((f"row {number}", row) for number, row in enumerate(rows))
    except pa.ArrowInvalid as error:
        raise PonderosaError(f"{path} is not a Parquet file: {error}") from error


_READERS = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}


def _whole(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit():
        raise PonderosaError(f"the option {name} is a whole number, not {text!r}")
    return int(text)


def _notes(problems: list[Problem]) -> Iterator[str]:
    lacking = [problem.id for problem in problems if not problem.checkable and problem.kind is not Kind.PROOF]
    if lacking:
        yield f"{len(lacking)} of {len(problems)} problems have no answer, e.g. {lacking[0]}"
    asked = Counter(problem.question.strip() for problem in problems)
    if twice := [question for question, count in asked.items() if count > 1]:
        yield f"{len(twice)} questions are asked more than once, e.g. {twice[0][:80]!r}"
    if long := [problem.id for problem in problems if len(problem.question) > LONGEST]:
        yield f"{len(long)} questions have more than {LONGEST:,} characters, e.g. that of {long[0]}"
