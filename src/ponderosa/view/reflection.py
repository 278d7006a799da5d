"""Signs of reflection by round and model, with an example or two, as a section of the page and as a table."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ponderosa.view import page
from ponderosa.view.rounds import Rate, Results, label
from ponderosa.view.trajectories import StepText

HEAD = ("", "Answers", "Right", "Turn round", "End right", "% of the right", "By", "Model")

WORDS = {
    "code_error": "a step that fails to run",
    "failed_check": "a check that fails",
    "redone": "a value computed anew",
    "said": "words that say so",
}
"""What the signs of `forest.reflection` are called."""

EXAMPLES = 2
WHAT = (
    "Trajectories of the search for data that abandon a failing line and take another, counted with few false alarms "
    "rather than whole (docs/training-data.md)."
)


def section(results: Results) -> str:
    """The counts of every round that has any, and the last examples; empty where nothing was counted."""
    counted = [(label(record), record["reflection"]) for record in results["rounds"] if record.get("reflection")]
    if not counted:
        return ""
    examples = [example for _, count in reversed(counted) for example in count.get("examples") or []][:EXAMPLES]
    return page.section(
        "Signs of reflection",
        page.paragraph(WHAT),
        page.table("By round of the search for data", HEAD, [row(name, count) for name, count in counted]),
        page.beside(*map(_example, examples)) if examples else "",
    )


def row(name: str, count: Mapping[str, Any]) -> Sequence[str]:
    """A line of the table."""
    share = Rate.read(count.get("share"))
    signs = ", ".join(f"{WORDS[sign]} {number:,}" for sign, number in (count.get("signs") or {}).items())
    return (
        name,
        *(f"{count[part]:,}" for part in ("trajectories", "correct", "reflecting", "recovered")),
        f"{share.percent} ({share.interval})" if share else "",
        signs,
        _short(str(count.get("model") or "")),
    )


def _short(model: str) -> str:
    """A model's name; of a folder the end of its path."""
    return "/".join(model.rsplit("/", 2)[-2:]) if model.startswith("/") else model


def _example(example: Mapping[str, Any]) -> str:
    items = []
    for number, text in enumerate(example["steps"]):
        step = StepText.read(text)
        note = ""
        if number == example["at"]:
            note = f'<span class="wrong">{escape(WORDS[example["sign"]])}: {escape(example["evidence"])}</span> '
        if number == example["anew"]:
            note += '<span class="correct">Here another line begins.</span> '
        output = f"<pre>→ {escape(step.output)}</pre>" if step.output is not None else ""
        marked = " class=parts" if note else ""
        items.append(f"<li{marked}>{note}<pre>{escape(step.body)}</pre>{output}</li>")
    return (
        f"<h3>{escape(str(example['problem_id']))}</h3><blockquote>{escape(example['question'])}</blockquote>"
        f'<ol class="steps">{"".join(items)}</ol>'
    )
