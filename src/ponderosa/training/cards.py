"""Model cards: what a checkpoint is, how it was made, what it is worth, how to use it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponderosa.core import FORMATS, CodeFormat, PonderosaError, make_format
from ponderosa.core.card import CARD, card
from ponderosa.forest.parquet import atomic
from ponderosa.training.checkpoint import RECORD, read_record

_PAPER = "[rStar-Math](https://arxiv.org/abs/2501.04519)"
_COUNTS = {"pairs": "preference pairs", "rows": "trajectories", "problems": "problems"}
"""What a report counts under the first of these names that it has, and what that is called."""


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint that is to have a card, under its `name`: OWNER/NAME, or a folder.

    `record` is that of its training, with what a run added to it (see `tell`), and may be empty; `start` says in words
    what training started from, by default as the record does. `data` is the data set OWNER/NAME that it goes with,
    `recipe` the settings of the run. A model that `values` steps scores each with tanh(logit / `scale`).
    """

    name: str
    values: bool
    scale: float = 1.0
    record: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    base: str | None = None
    license: str | None = None
    data: str | None = None
    recipe: Mapping[str, Any] | None = None
    measured: Sequence[Sequence[str]] = ()
    """A table: its columns' names, the first of them empty, and its rows."""

    @property
    def format(self) -> str:
        """The name of the format of its steps, as far as is known."""
        record, recipe = self.record, self.recipe or {}
        told = record.get("run", {}).get("format") or record.get("task", {}).get("format") or recipe.get("format")
        return told if told in FORMATS else "rstar"

    @classmethod
    def of(cls, folder: Path, **known: Any) -> "Model":
        """What is known of the checkpoint in a folder, and more. Raises `PonderosaError` if it is none."""
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PonderosaError(f"{folder} has no readable config.json: it is no checkpoint ({error})") from error
        values = "SequenceClassification" in str(config.get("architectures"))
        record = read_record(folder) if (folder / RECORD).exists() else {}
        return cls(
            **{
                "name": str(folder),
                "values": values,
                "record": record,
                "scale": config.get("reward_scale", 1.0),
                **known,
            }
        )


def write_card(folder: Path, name: str | None = None) -> None:
    """Writes the card of the checkpoint in `folder`, which may be on its way to the folder `name`; the record of its
    training, if it has one, knows the card by a digest.
    """
    text = model_card(Model.of(folder, name=name or str(folder)))
    (folder / CARD).write_text(text, encoding="utf-8")
    if (folder / RECORD).exists():
        _write_record(folder, read_record(folder) | {"card": _digest(text)})


def tell(folder: Path, **run: Any) -> None:
    """Adds to the record of a checkpoint, and to its card, what a run knows of it by now.

    That is `recipe` (its name), `round`, `command`, the step `format`, a line on the `decontamination` of the training
    problems, and `scores`: a rate, as of `percent`, by the name of each method. Without a record, as where a user's own
    training made it, nothing happens.
    """
    if not (folder / RECORD).exists():
        return
    record = read_record(folder)
    known = record.get("run", {})
    if known | run != known or "card" not in record:
        # Without the digest of the old card, so that one which a kill left behind is written again.
        _write_record(folder, {key: value for key, value in record.items() if key != "card"} | {"run": known | run})
        write_card(folder)


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    with atomic(folder / RECORD) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def written_here(folder: Path) -> bool:
    """Is the card of the checkpoint in `folder` the one that was written here, and not a person's own?"""
    try:
        return read_record(folder).get("card") == _digest((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, PonderosaError):
        return False


def _digest(card: str) -> str:
    return hashlib.sha256(card.encode()).hexdigest()


def model_card(model: Model) -> str:
    """The card, with metadata for the Hub."""
    metadata = {
        "license": model.license,
        "library_name": "transformers",
        "pipeline_tag": "text-classification" if model.values else "text-generation",
        "base_model": model.base,
        "datasets": [model.data] if model.data else None,
        "tags": ["ponderosa", "rstar-math", "math", "reasoning"] + (["reward-model"] if model.values else []),
    }
    format = make_format(model.format)
    code = isinstance(format, CodeFormat)
    steps = _CODE_STEPS if code else f"Its steps are written in Ponderosa's format `{model.format}`."
    about = (_VALUES if model.values else _POLICY).format(scale=model.scale, steps=steps)
    stops = " or ".join(f"`{json.dumps(stop)[1:-1]}`" for stop in format.step_stops)
    use = (_USE_VALUES if model.values else _USE_POLICY).format(
        name=model.name,
        prompt=format.render("QUESTION").text,
        scale=model.scale,
        writes=_CODE_WRITES if code else f"It continues this prompt; a step ends with {stops}",
    )
    sections = [
        f"# {model.name.rstrip('/').rpartition('/')[2]}",
        about,
        *_made(model),
        *_measured(model),
        *_calibrated(model),
        use,
    ]
    if model.recipe:
        sections += ["## The recipe", _json(model.recipe)]
    return card(metadata, "\n\n".join(section.strip("\n") for section in sections))


def _made(model: Model) -> list[str]:
    record = model.record
    run, report = record.get("run", {}), record.get("report", {})
    told = []
    if run.get("recipe"):
        told.append(f"Made by Ponderosa in round {run.get('round')} of the recipe `{run['recipe']}`.")
    if start := model.start or (f"`{record['start']}`" if "start" in record else None):
        told.append(
            f"Training ({record['kind']}) started from {start}."
            if "kind" in record
            else f"Training started from {start}."
        )
    if report:
        of_pairs = record.get("kind") in ("ppm", "dpo") or (model.values and "kind" not in record)
        name = next((name for name in _COUNTS if name in report and (of_pairs or name != "pairs")), None)
        counted = "problems" if record.get("kind") == "on-policy" else _COUNTS.get(name or "")
        seen = f"{report[name]:,} {counted}, in " if name else ""
        told.append(f"It saw {seen}{report['steps']:,} steps and {report['tokens']:,} tokens.")
    if "loss_end" in report:
        told.append(f"The loss went from {report['loss_start']:.4g} to {report['loss_end']:.4g}.")
    if kept := report.get("kept"):
        accuracy = f", with an accuracy of {kept['accuracy']:.1%}" if kept["accuracy"] is not None else ""
        told.append(f"On held-out rows it is {kept['loss']:.4g}{accuracy}.")
    if line := run.get("decontamination"):
        told.append(line)
    if not told:
        return []
    sections = ["## How it was made", " ".join(told)]
    if rows := record.get("rows"):
        sections.append("\n".join(["The data:", "", *(f"- `{path}`" for path in rows)]))
    commands = [run["command"]] if run.get("command") else []
    if record.get("rows"):
        commands.append(f"ponderosa train {model.name}/{RECORD} --out OTHER  # this training alone")
    if commands:
        sections.append("Again:\n\n" + "\n".join(["```", *commands, "```"]))
    if "settings" in record:
        sections.append(_json({"seed": record.get("seed"), **record["settings"]}))
    return sections


def _measured(model: Model) -> list[str]:
    table = model.measured or [["", "this model"], *_scores(model.record)]
    if len(table) < 2:
        return []
    head, *rows = table
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return ["## Measured", "On held-out problems of the recipe, in percent, with 95 % intervals.", "\n".join(lines)]


def _calibrated(model: Model) -> list[str]:
    """What a reward model's values are worth on the rows that were held out, as `training.calibration` has it."""
    found = model.record.get("report", {}).get("calibration")
    if not found:
        return []
    ece, bins = found["reliability"]["ece"], found["reliability"]["bins"]
    told = [
        "On the rows that its training held out, with 95 % intervals. Where it says p, a share p should come true "
        f"{_P_OF_LABELS if 'labels' in model.record['report'] else _P_OF_PAIRS}. In percent, the mean distance "
        f"(expected calibration error, ECE) is {percent(**ece)}."
    ]
    for scope, share in found["order"].items():
        what = {"step": "two steps after the same ones", "trajectory": "two whole solutions"}.get(
            scope, f"two {scope}s"
        )
        told.append(f"Of {what} the better one has the higher value in {percent(**share)}.")
    lines = ["| p | says, on average | came true |", "| --- | --- | --- |"]
    for one in bins:
        lines.append(
            f"| {one['low']:.1f}-{one['high']:.1f} | {100 * one['predicted']:.1f} | {percent(**one['observed'])} |"
        )
    return ["## Calibration", " ".join(told), "\n".join(lines)]


_P_OF_PAIRS = "(of pairs, p is the chance that the side of higher value is the better one)"
_P_OF_LABELS = "(p is the value as a share of right ends, (value + 1) / 2)"


def _scores(record: Mapping[str, Any]) -> list[list[str]]:
    scores: Mapping[str, Any] = record.get("run", {}).get("scores") or {}
    return [[name, percent(**rate)] for name, rate in scores.items()]


def percent(value: float, low: float | None = None, high: float | None = None, n: int | None = None) -> str:
    """A share with its interval and the number of problems, e.g. `62.6 (58.3-66.7), n = 500`."""
    interval = f" ({100 * low:.1f}-{100 * high:.1f})" if low is not None and high is not None else ""
    return f"{100 * value:.1f}{interval}" + (f", n = {n:,}" if n else "")


def _json(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


_POLICY = f"""
A policy, made to solve problems in steps, as {_PAPER} has them. {{steps}}
"""
_CODE_STEPS = """Each is a thought with the Python code for it, and the
answer follows in a box once the code has run."""

_VALUES = f"""
A reward model of {_PAPER}'s kind, its process preference model (PPM) or another in the place of it: it values
every step of a solution, and guides the search. A sequence classifier with one label; a step's value, in [-1, 1], is
tanh(logit / {{scale:g}}) at its end.
"""

_USE_POLICY = """
## Use

```
ponderosa solve "What is the sum of the first 50 odd numbers?" --model {name}
vllm serve {name}
```

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForCausalLM.from_pretrained("{name}")
```

{writes}:

```
{prompt}
```
"""

_CODE_WRITES = """It continues this prompt, up to `<end_of_code>` or `<end_of_answer>`; the code's output follows as
`<output>...<end_of_output>`"""

_USE_VALUES = """
## Use

```
vllm serve {name} --runner pooling --dtype float32 --port 8001
ponderosa search problems.jsonl --preset rstar-math --model POLICY --out trees \\
  --reward "http://127.0.0.1:8001?scale={scale:g}"
```

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForSequenceClassification.from_pretrained("{name}")
```

It reads this prompt and the steps so far:

```
{prompt}
```
"""
