"""What a few searched problems say of those to come: the assumptions of a plan, measured on trees."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ponderosa.core import PonderosaError, StepFormat, Tree, make_format
from ponderosa.evolution.assumptions import Assumptions
from ponderosa.evolution.loops import recipe_of
from ponderosa.evolution.planning import candidates
from ponderosa.evolution.rstar_math import DataSettings, RStarMath
from ponderosa.evolution.run import RECIPE
from ponderosa.evolution.searching import SearchRun, forests
from ponderosa.evolution.settings import typed
from ponderosa.evolution.stages import solved
from ponderosa.forest import preference_pairs, read_forest, sft_rows
from ponderosa.search import MCTSSettings

Measured = dict[str, float]
"""Assumptions by name."""


def read_pilot(path: Path, data: DataSettings) -> list[Measured]:
    """What the run at `path` says, for each of its rounds; a run of `ponderosa search` counts as one.

    `data` says which trajectories and pairs are taken. Raises `PonderosaError` where there is nothing to measure.
    """
    if (path / RECIPE).exists():
        return _rounds(path, data)
    run = SearchRun.of(path)
    if run.search != "mcts":
        raise PonderosaError(f"{path} is a run of {run.search}: a pilot is one of mcts")
    settings = typed(MCTSSettings, run.settings, str(path))
    return [_folder(forests(path), settings, data, make_format(run.format), judged=run.judged)]


def _rounds(path: Path, data: DataSettings) -> list[Measured]:
    recipe, found = recipe_of(path), []
    if not isinstance(recipe, RStarMath):
        raise PonderosaError(f"{path} is a run of {recipe.loop}: a pilot is one of rstar-math")
    for number, settings in enumerate(recipe.rounds, start=1):
        folders = sorted((path / f"round-{number}" / "search").glob("tree-*"))
        if not folders:
            break
        search = replace(
            recipe.search, rollouts=settings.rollouts, candidates=settings.candidates or recipe.search.candidates
        )
        found.append(_folder(folders, search, data, make_format(recipe.format), judged=True))
    if not found:
        raise PonderosaError(f"{path} has not searched yet: name a run with a finished search as --pilot")
    return found


def _folder(
    folders: Sequence[Path], settings: MCTSSettings, data: DataSettings, format: StepFormat, *, judged: bool
) -> Measured:
    """The first forest has all problems; the others, of an evolution, those that were still unsolved."""
    if not folders:
        raise PonderosaError("the pilot holds no trees: let its search end first")
    trees = list(read_forest(folders[0]))
    found = measure(trees, settings)
    found["node_bytes"] = sum(file.stat().st_size for file in folders[0].glob("*.parquet")) / sum(
        len(tree.nodes) for tree in trees
    )
    if not judged:
        return found
    found |= measure_data(trees, data, format)
    retried = [tree for folder in folders[1:] for tree in read_forest(folder)]
    if retried:
        found["retry_solved"] = sum(map(solved, retried)) / len(retried)
    return found


def measure(trees: Sequence[Tree], settings: MCTSSettings) -> Measured:
    """The shape of `trees`, which were searched with `settings`. Raises `PonderosaError` if none has a step."""
    trees = [tree for tree in trees if tree.rollouts and len(tree.nodes) > 1]
    if not trees:
        raise PonderosaError("no tree of the pilot has a step: mend its search first")
    count = len(trees)
    expanded = sum(node.expanded for tree in trees for node in tree.nodes) / count
    depth = sum(sum(tree.nodes[end].depth for end in tree.rollouts) / len(tree.rollouts) for tree in trees) / count
    found = {"depth": max(depth, 1.0)}
    if settings.rollouts > 1:
        found["fresh"] = max(0.0, (expanded / found["depth"] - 1) / (settings.rollouts - 1))
    drawn = expanded * candidates(Assumptions(depth=found["depth"]), settings)
    nodes = sum(len(tree.nodes) - 1 for tree in trees) / count
    found["step_tokens"] = sum(tree.usage.generated_tokens for tree in trees) / count / drawn
    found["distinct"] = nodes / drawn
    found["executions"] = sum(tree.usage.executions for tree in trees) / count / nodes
    if questions := [tree.nodes[0].tokens for tree in trees if tree.nodes[0].tokens]:
        found["question_tokens"] = sum(questions) / len(questions)
    return found


def measure_data(trees: Sequence[Tree], data: DataSettings, format: StepFormat) -> Measured:
    """What `trees`, searched with a judge, are worth as data."""
    won = sum(map(solved, trees))
    found = {"solved": won / len(trees)}
    if taken := won if data.verified else len(trees):
        rows = sft_rows(trees, format, data.top, data.choice, verified=data.verified)
        found["filled"] = len(rows) / (taken * data.top)
    tokens = count = 0
    for tree in trees:
        pairs = preference_pairs([tree], format, data.pairs)
        ends = [end for pair in pairs for end in (pair.chosen_node, pair.rejected_node)]
        shown = {node for end in ends for node in (0, *tree.path(end))}  # each computed once, see `training.tries`
        tokens += sum(tree.nodes[node].tokens for node in shown)
        count += len(pairs)
    found["pairs"] = count / len(trees)
    if count:
        found["pair_tokens"] = tokens / count
    return found
