"""The model card of a base: what it is, how it was made, and its measured figures."""

from collections.abc import Mapping
from pathlib import Path

from ponderosa.core.card import CARD, card
from ponderosa.sapling.audit import Audit, Measured
from ponderosa.sapling.calibration import Cell, CellRate, farthest
from ponderosa.sapling.corpora import CODE, POLYGLOT
from ponderosa.sapling.diagnosis import StepClass

_METADATA = {"license": "apache-2.0", "library_name": "transformers", "pipeline_tag": "text-generation"}

_CARD = """
# Sapling base

A Llama-architecture model of {parameters:,} parameters that reads the {reads} of Ponderosa's embedded world and
solves them {formats}. It is the starting point of the embedded self-evolution, and knows
nothing beyond that world: it is no general language model.

It was pre-trained on documents that mix right and wrong ways of solving, as the web does, and are faultless otherwise.
So it seldom misreads, and errs in judgement: which is what self-evolution is there to mend.

## How it was made

`{command}`:
{tokens:,} tokens of fresh documents (none seen twice), {minutes:.0f} minutes on {processes} processes of one thread.
Saved in bf16.

"""

_READS = {
    CODE: ("word problems", "in rStar-Math's code-augmented format"),
    POLYGLOT: (
        "word problems (in two languages, and as multiple choice) and program problems",
        "with code, in thinking between tags or with a program",
    ),
}

_DIALECTS = """
## Measured

{count} problems of the test split a dialect, seed {seed}; each holds a combination that no training document has, or
is from one of reasoning-gym's arithmetic families. Greedy decoding of the bf16 weights, in fp32. *Reached*: those that
at least one of {samples} samples at temperature {temperature} solves, of the first {sampled}; *samples*: those that are
right. *Misread*: solutions with a mis-copied, misbound or malformed step. *Miscalculated* and *judgement*: those whose
first error is one of arithmetic, or a known wrong way. *Language*: the share of a solution's words that are of its
question's language.

| dialect (format) | greedy | reached | samples | misread | miscalculated | judgement | language | tokens |
|---|---|---|---|---|---|---|---|---|
{rows}
"""

_MEASURED = """
## Measured

{count} problems of the test split, seed {seed}; each holds a combination of sentences that no training document has, or
is from one of reasoning-gym's arithmetic families. Greedy decoding of the bf16 weights in fp32, the executor's output
put in after the code.

| | |
|---|---|
| greedy accuracy | {accuracy:.1%} |
| solutions with a misread step (mis-copied, misbound, malformed) | {misread:.1%} |
| right answers with a wrong intermediate value | {lucky:.1%} |
| generated tokens a problem | {generated:.0f} |

As often as the corpus solves a kind of sentence in one phrasing wrongly, so often does the model: over the {cells} such
cells its rate of wrong ways differs from the corpus's by {mean_gap:.3f} on average and by {gap:.3f} at most (`{cell}`,
phrasing {phrasing}; {calibrated} problems, the right solution given up to the sentence).

| level | 0: reasoning-gym | 1 | 2 | 3 | 4 | 5 |
|---|---|---|---|---|---|---|
| greedy accuracy | {levels} |

| first step that is not right | solutions |
|---|---|
{errors}
"""


def write_card(
    out: Path,
    measured: str,
    *,
    corpus: str,
    parameters: int,
    command: str,
    tokens: int,
    seconds: float,
    processes: int,
) -> None:
    """Writes `README.md` into the checkpoint's folder. `measured` is what `figures` or `dialect_figures` say."""
    reads, formats = _READS[corpus]
    made = _CARD.format(
        reads=reads,
        formats=formats,
        parameters=parameters,
        command=command,
        tokens=tokens,
        minutes=seconds / 60,
        processes=processes,
    )
    (out / CARD).write_text(card(_METADATA, made.rstrip("\n") + "\n" + measured))


def figures(audit: Audit, rates: Mapping[Cell, CellRate], seed: int, calibrated: int) -> str:
    """What was measured of a model of one dialect; `rates` are of `calibrated` of the audited problems."""
    gaps = {cell: abs(rate.model - rate.corpus) for cell, rate in rates.items()}
    worst = farthest(rates)
    return _MEASURED.format(
        seed=seed,
        count=audit.count,
        accuracy=audit.accuracy,
        misread=audit.misread_share,
        lucky=audit.lucky / max(1, audit.correct),
        generated=audit.tokens / audit.count,
        cells=len(rates),
        mean_gap=sum(gaps.values()) / len(gaps),
        gap=gaps[worst],
        cell=worst[0],
        phrasing=worst[1],
        calibrated=calibrated,
        levels=" | ".join(_share(*audit.by_level.get(level, (0, 0))) for level in range(6)),
        errors="\n".join(f"| {kind} | {count} |" for kind, count in audit.first_error.most_common()),
    )


def dialect_figures(measured: Mapping[str, Measured], seed: int, samples: int, temperature: float) -> str:
    """What was measured of a model of several dialects."""
    first = next(iter(measured.values()))
    rows = [
        f"| {name} | {m.greedy.accuracy:.1%} | {m.reached:.1%} | {m.right:.1%} | {m.greedy.misread_share:.1%} "
        f"| {m.greedy.share_with(StepClass.MISCALCULATED):.1%} | {m.greedy.share_with(StepClass.WRONG_WAY):.1%} "
        f"| {m.greedy.own_language / m.greedy.count:.1%} | {m.greedy.tokens / m.greedy.count:.0f} |"
        for name, m in measured.items()
    ]
    return _DIALECTS.format(
        count=first.greedy.count,
        seed=seed,
        samples=samples,
        temperature=temperature,
        sampled=first.sampled,
        rows="\n".join(rows),
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} of {whole}" if whole else "none"
