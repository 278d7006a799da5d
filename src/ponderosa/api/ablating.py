"""`ponderosa.ablate`: a study of variants of a recipe, and its report."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ponderosa.api.waiting import wait_for
from ponderosa.core import PonderosaError
from ponderosa.evolution import Observer
from ponderosa.evolution.findings import found
from ponderosa.evolution.run import claimed, snapshot, write_json, write_settings
from ponderosa.evolution.settings import find_recipe, own_folder, parse
from ponderosa.evolution.studies import Study, carry_out, load_study
from ponderosa.view.progress import Progress
from ponderosa.view.study import write_study

STUDY = "study.yaml"
"""What a folder says of the study that it is of."""


def ablate(
    study: str | Path = "ablation/sapling",
    *,
    out: str | Path | None = None,
    changes: Iterable[str] = (),
    observer: Observer | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Runs a study, or goes on with one that was stopped: the same call resumes.

    Parameters
    ----------
    study
        A study's file, or the name of a bundled one: the paper's ablations, in small, by default.
    out
        The study's folder, by default `runs/` and the study's name. Every variant's runs lie in it.
    changes
        Settings that differ from the study's: `["seeds=[1]", "set.evaluation.test=200"]`; `set` is for all recipes.
    observer
        Who is told of the progress.
    command
        What reproduces the study, for the report.

    Returns
    -------
    dict
        What `results.json` in the folder holds: the variants' rounds over all seeds, and the comparisons.

    Raises
    ------
    PonderosaError
        For a wrong study or recipe, for a folder that was begun with another, and if a backend fails. What was finished
        by then is kept.
    """
    if find_spec("scipy") is None or find_spec("matplotlib") is None:
        raise PonderosaError("scipy or matplotlib is missing: install ponderosa[report] to compare variants")
    path = find_recipe(str(study))
    settings = load_study(path, list(changes))
    folder = Path(out) if out is not None else own_folder(str(study))
    with _claimed(folder, settings):
        runs = wait_for(carry_out(settings, folder, observer or Progress()))
        findings = found(settings, runs)
        write_json(folder / "results.json", findings)
        write_study(folder, findings, command)
    return findings


@contextmanager
def _claimed(folder: Path, study: Study) -> Iterator[None]:
    """The folder for this study alone. What is compared, and which variants and seeds there are, may change as it goes
    on: every run has a claim of its own. Raises `PonderosaError` as `claimed` does.
    """
    settings = study.model_dump(mode="json")
    own = ("about", "seeds", "variants", "comparisons")

    def begun_with() -> dict[str, Any]:
        record = parse(Study, snapshot(folder, STUDY, "ablate"), str(folder / STUDY)).model_dump(mode="json")
        return record | {key: settings[key] for key in own}

    with claimed(folder, STUDY, settings, begun_with):
        write_settings(folder / STUDY, settings)
        yield
