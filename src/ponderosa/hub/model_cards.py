"""What the card of a model says to the world: no paths of this machine, and what its run measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponderosa.hub.public import hub_name, public
from ponderosa.sapling import BASES
from ponderosa.training.cards import Model, model_card, percent
from ponderosa.view.rounds import Rate, Results, methods, series


def public_card(
    folder: Path,
    name: str,
    *,
    base: str | None = None,
    license: str | None = None,
    data: str | None = None,
    round: int | None = None,
    recipe: Mapping[str, Any] | None = None,
    results: Results | None = None,
) -> str:
    """The card of the checkpoint in `folder`, which becomes OWNER/NAME.

    `base` is what its training started from, as text; `recipe` and `results` (those of the base and of its round) are
    the run's. Each may be unknown. `data` is the data set OWNER/NAME that it goes with.
    """
    known = Model.of(folder)
    record = {key: value for key, value in public(known.record).items() if key != "rows"}
    start = base or known.record.get("start")
    if recipe:
        told = {key: line for key, line in record.get("run", {}).items() if key == "decontamination"}
        record["run"] = {"recipe": public(recipe["name"]), "round": round, **told}
    model = Model(
        name,
        known.values,
        known.scale,
        record,
        start=_called(start) if start else None,
        base=hub_name(start) if start else None,
        license=license,
        data=data,
        recipe=public(recipe) if recipe else None,
        measured=measured(results, known.values) if results else (),
    )
    return model_card(model)


def measured(results: Results, values: bool) -> Sequence[Sequence[str]]:
    """What was measured of a round's model, and of the base where that is comparable; empty if nothing was."""
    if values:
        names = {"auc": "AUC on this round's steps", "probe_auc": "AUC on the base's", "pair_accuracy": "pair accuracy"}
        rows = {name: series(results, "ppm", key)[-1:] for key, name in names.items()}
        columns = ["this model"]
    else:
        rows = {name: rates[::-1] for name, rates in methods(results).values()}
        columns = ["this model", "the base"][: len(results["rounds"])]
    lines = [[name, *map(_rate, rates)] for name, rates in rows.items() if any(rates)]
    return [["", *columns], *lines] if lines else ()


def _rate(rate: Rate | None) -> str:
    return percent(rate.value, rate.low, rate.high, rate.n) if rate else ""


def _called(base: str) -> str:
    if base in BASES:
        return f"Ponderosa's embedded base `{base}`"
    return f"[{base}](https://huggingface.co/{base})" if hub_name(base) else f"`{public(base)}`"
