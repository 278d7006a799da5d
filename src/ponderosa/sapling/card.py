"""The model card of a base: what it is, how it was made, and its measured figures."""

from collections.abc import Mapping
from pathlib import Path

from ponderosa.sapling.audit import Audit
from ponderosa.sapling.calibration import Cell, CellRate, farthest

_CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---

# Sapling base

A Llama-architecture model of {parameters:,} parameters that reads the word problems of Ponderosa's embedded world and
solves them in rStar-Math's code-augmented format. It is the starting point of the embedded self-evolution, and knows
nothing beyond that world: it is no general language model.

It was pre-trained on documents that mix right and wrong ways of solving, as the web does, and are faultless otherwise.
So it seldom misreads, and errs in judgement: which is what self-evolution is there to mend.

## How it was made

`{command}`:
{tokens:,} tokens of fresh documents (none seen twice), {minutes:.0f} minutes on {processes} processes of one thread.
Saved in bf16.

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
    audit: Audit,
    rates: Mapping[Cell, CellRate],
    *,
    parameters: int,
    command: str,
    tokens: int,
    seconds: float,
    processes: int,
    seed: int,
    calibrated: int,
) -> None:
    """Writes `README.md` into the checkpoint's folder. `rates` were measured on `calibrated` of the problems."""
    gaps = {cell: abs(rate.model - rate.corpus) for cell, rate in rates.items()}
    worst = farthest(rates)
    text = _CARD.format(
        parameters=parameters,
        command=command,
        tokens=tokens,
        minutes=seconds / 60,
        processes=processes,
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
    (out / "README.md").write_text(text)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} of {whole}" if whole else "none"
