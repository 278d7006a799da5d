"""What can be pushed: a run, a checkpoint, a data set, trees, a GGUF file; and the repositories that each becomes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ponderosa.core import PonderosaError, split_options
from ponderosa.core.card import CARD, card
from ponderosa.evolution import recipe_of
from ponderosa.evolution.problems import decontamination_line
from ponderosa.evolution.run import RECIPE, read_json, rounds
from ponderosa.evolution.searching import SETTINGS, SearchRun, forests
from ponderosa.forest import PairRow, Part, SFTRow, ValueRow, data_card, forest_part, read_rows, rows_part
from ponderosa.forest.rows import TABLE
from ponderosa.hub.model_cards import public_card
from ponderosa.hub.public import public
from ponderosa.hub.repository import Repository, check_name, load_hub
from ponderosa.sapling import BASES
from ponderosa.training.cards import Model, written_here

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
_EXTRAS = ("*config.json", "tokenizer.*", "chat_template.jinja", "*tokens*.json", "vocab.*", "merges.txt")
_OPEN = "apache-2.0"
"""The licence of the embedded base and world, and so of what comes of them."""


def repositories(source: Path, name: str, license: str | None = None) -> list[Repository]:
    """The repositories that `source` becomes, the first of them OWNER/NAME as `name` says.

    A run becomes up to three: its last policy, its last PPM as NAME-ppm, and all its data as NAME-data; of some loops
    there is no PPM, or no data. `license` is that of the cards. Raises `PonderosaError` if `source` is nothing that can
    be pushed.
    """
    check_name(name)
    kinds: list[tuple[bool, Callable[[Path, str, str | None], list[Repository]]]] = [
        (source.suffix == ".gguf" and source.is_file(), _gguf),
        ((source / RECIPE).exists(), _run),
        ((source / "config.json").exists(), _checkpoint),
        ((source / TABLE).exists(), _rows),
        ((source / SETTINGS).exists(), _search),
    ]
    for found, make in kinds:
        if found:
            return make(source, name, license)
    raise PonderosaError(f"{source} is nothing that can be pushed: name a run, a checkpoint, a data set or a GGUF file")


def _run(source: Path, name: str, license: str | None) -> list[Repository]:
    finished = rounds(source)
    if not finished:
        raise PonderosaError(f"{source} has no finished round yet: go on with the same `ponderosa evolve`")
    recipe = recipe_of(source).model_dump(mode="json")
    license = license or _license_of(recipe)
    last = finished[-1]
    note = public(decontamination_line(source))
    data = _data(_rounds_to(last), f"{name}-data", license, recipe, note)
    told = data.name if data else None
    found = [_model(last / "policy", name, license, told)]
    if (last / "ppm").exists():
        found.append(_model(last / "ppm", f"{name}-ppm", license, told, base=name))
    return [*found, data] if data else found


def _license_of(recipe: dict[str, Any]) -> str | None:
    """The licence of what a recipe makes; None where it is not ours to say."""
    return _OPEN if split_options(recipe["policy"])[0] in BASES else None


def _rounds_to(last: Path) -> list[Path]:
    """The folders of the rounds up to `last`. Not each of them makes a policy: R1's third makes data alone."""
    every = (last.parent / f"round-{n}" for n in range(1, int(last.name.removeprefix("round-")) + 1))
    return [folder for folder in every if folder.exists()]


def _checkpoint(source: Path, name: str, license: str | None) -> list[Repository]:
    return [_model(source, name, license, None)]


def _model(source: Path, name: str, license: str | None, data: str | None, base: str | None = None) -> Repository:
    """A checkpoint, with the card that it has, or one made of what is known of it."""
    if not any(source.glob(WEIGHTS[0])):
        raise PonderosaError(f"{source} holds no weights (*.safetensors)")
    files: dict[str, Path | str] = {
        path.name: path for pattern in (*_EXTRAS, *WEIGHTS) for path in sorted(source.glob(pattern))
    }
    if (source / CARD).exists() and not written_here(source):
        return Repository(name, "model", files | {CARD: _with_license(source / CARD, license)})
    known: dict[str, Any] = {"base": base}
    folder = source.resolve().parent
    run = folder.parent
    if (run / RECIPE).exists() and folder.name.startswith("round-"):
        number = int(folder.name.removeprefix("round-"))
        recipe = recipe_of(run).model_dump(mode="json")
        summaries = [read_json(run / f"round-{n}" / "summary.json") for n in (0, number)]
        known = {
            "base": base or (None if Model.of(source).values else split_options(recipe["policy"])[0]),
            "round": number,
            "recipe": recipe,
            "results": {"rounds": [summary for summary in summaries if summary]},
        }
        license = license or _license_of(recipe)
    return Repository(name, "model", files | {CARD: public_card(source, name, license=license, data=data, **known)})


def _data(made: list[Path], name: str, license: str | None, recipe: dict[str, Any], note: str) -> Repository | None:
    """All that the rounds of a run were trained on, and the trees that it comes from: a part for each kind; None where
    there is neither. The `note` goes to the card.
    """
    files: dict[str, Path | str] = {}
    parts: list[Part] = []
    kinds: tuple[tuple[str, type[Any]], ...] = (("sft", SFTRow), ("pairs", PairRow), ("values", ValueRow))
    for kind, row in kinds:
        tables = {folder.name: folder / "data" / kind for folder in made if (folder / "data" / kind).exists()}
        files |= {f"{kind}/{round}.parquet": table / TABLE for round, table in tables.items()}
        rows = [found for table in tables.values() for found in read_rows(table, row)]
        if tables:
            parts.append(rows_part(kind, f"{kind}/*.parquet", row, rows))
    trees = {
        f"trees/{folder.name}-{shard.parent.name}-{shard.name}": shard
        for folder in made
        for shard in sorted(folder.glob("search/tree-*/*.parquet"))
    }
    files |= trees
    if trees:
        parts.append(forest_part("trees", "trees/*.parquet", trees.values()))
    if not parts:
        return None
    told = f"the {len(made)} rounds of the recipe `{public(recipe['name'])}`"
    settings = public(
        {key: recipe[key] for key in ("problems", "search", "sampling", "rounds", "data") if key in recipe}
    )
    files[CARD] = data_card(name.split("/")[1], told, parts, settings, license, note)
    return Repository(name, "dataset", files)


def _rows(source: Path, name: str, license: str | None) -> list[Repository]:
    files: dict[str, Path | str] = {TABLE: source / TABLE, CARD: _with_license(source / CARD, license)}
    return [Repository(name, "dataset", files)]


def _search(source: Path, name: str, license: str | None) -> list[Repository]:
    """The trees of a run of `ponderosa search`."""
    settings = SearchRun.of(source).model_dump(mode="json")
    shards = {
        f"trees/{forest.name}-{shard.name}": shard
        for forest in forests(source)
        for shard in sorted(forest.glob("*.parquet"))
    }
    if not shards:
        raise PonderosaError(f"{source} holds no finished search yet: go on with the same `ponderosa search`")
    part = forest_part("trees", "trees/*.parquet", shards.values())
    text = data_card(name.split("/")[1], f"a search by {settings['search']}", [part], public(settings), license)
    files: dict[str, Path | str] = {**shards, CARD: text}
    return [Repository(name, "dataset", files)]


def _gguf(source: Path, name: str, license: str | None) -> list[Repository]:
    metadata = {"license": license, "library_name": "gguf", "pipeline_tag": "text-generation", "tags": ["ponderosa"]}
    text = f"""
# {name.split("/")[1]}

A policy of Ponderosa as a GGUF file, for llama.cpp.

```
ponderosa solve "What is the sum of the first 50 odd numbers?" --model {source.name}
```
"""
    return [Repository(name, "model", {source.name: source, CARD: card(metadata, text)})]


def _with_license(path: Path, license: str | None) -> str:
    """A card that is there, under another licence if one is given."""
    text = path.read_text(encoding="utf-8")
    if license is None:
        return text
    card = load_hub().RepoCard(text)
    card.data.license = license
    return str(card)
