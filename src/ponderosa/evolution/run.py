"""A run is a folder, and everything in it can be killed: what a stage has finished is there whole, and stays."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import yaml

from ponderosa.cluster import Shard, ShardProgress, WorkerPool
from ponderosa.core import PonderosaError
from ponderosa.evolution.recipe import Recipe, differences, parse_recipe


class StageView(Protocol):
    """One stage as a person sees it."""

    def update(
        self,
        *,
        done: int | None = None,
        total: int | None = None,
        solved: int | None = None,
        tokens: int | None = None,
        executions: int | None = None,
        note: str | None = None,
    ) -> None: ...

    def finish(self, ended: str = "done") -> None: ...


class Observer(Protocol):
    """Who is told of a run's progress."""

    def stage(self, name: str, total: int | None = None, *, done: int = 0, unit: str = "problems") -> StageView: ...


async def run_shards(pool: WorkerPool, work: Sequence[Shard], title: str, observer: Observer) -> None:
    """Runs the shards that are not done, all at once, so that the end of one forest fills up with the others."""
    waiting = [shard for shard in work if not shard.done]
    if not waiting:
        return
    before = sum(shard.stop - shard.start for shard in work if shard.done)
    judged = all(shard.judged for shard in waiting)
    view = observer.stage(title, sum(shard.stop - shard.start for shard in work), done=before)

    def update(progress: ShardProgress) -> None:
        view.update(
            done=before + progress.done,
            solved=progress.solved if judged else None,
            tokens=progress.tokens,
            executions=progress.executions,
            note=progress.note,
        )

    await pool.run(waiting, update)
    view.finish()


class Run:
    """The folder of a run: recipe, rounds, results. Only one process may work on it at a time."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe

    @classmethod
    @contextmanager
    def open(cls, path: Path, recipe: Recipe) -> Iterator["Run"]:
        """Opens a new run, or one to go on with.

        Raises `PonderosaError` if the folder holds a run with another recipe (naming what differs), something else, or
        is in use.
        """
        with claimed(path, RECIPE, recipe.model_dump(mode="json"), lambda: cls.recipe_of(path).model_dump(mode="json")):
            yield cls(path, recipe)

    @staticmethod
    def recipe_of(path: Path) -> Recipe:
        """The recipe that the run at `path` was begun with. Raises `PonderosaError` if there is no run."""
        return parse_recipe(snapshot(path, RECIPE, "evolve"), str(path / RECIPE))

    def round(self, number: int) -> Path:
        return self.path / f"round-{number}"

    @contextmanager
    def timed(self, number: int, stage: str) -> Iterator[None]:
        """Adds the time spent inside to the stage's, over all attempts that were not killed."""
        started = time.monotonic()
        try:
            yield
        finally:
            times = self.times()
            key = f"{number}.{stage}"
            times[key] = times.get(key, 0.0) + time.monotonic() - started
            write_json(self.path / "times.json", times)

    def times(self) -> dict[str, float]:
        """Seconds by `round.stage`."""
        record: dict[str, float] = read_json(self.path / "times.json") or {}
        return record


LOCK = ".lock"
RECIPE = "recipe.yaml"


@contextmanager
def claimed(
    path: Path, name: str, settings: dict[str, Any], begun_with: Callable[[], dict[str, Any]]
) -> Iterator[None]:
    """The folder `path` with its settings in the file `name`, new or to go on with, for this process alone.

    `begun_with` reads the settings that are there. Raises `PonderosaError` if they differ (naming what does), or if the
    folder holds something else, or is in use.
    """
    path.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        if (path / name).exists():
            if changes := differences(begun_with(), settings):
                raise PonderosaError(
                    f"{path} was begun with other settings ({'; '.join(changes)}): "
                    "choose another --out, or run it with its own"
                )
        elif others := [p.name for p in path.iterdir() if p.name != LOCK]:
            raise PonderosaError(f"{path} holds {', '.join(sorted(others)[:3])} but no run: choose another --out")
        else:
            write_whole(path / name, yaml.safe_dump(settings, sort_keys=False))
        yield


def snapshot(path: Path, name: str, command: str) -> Any:
    """The settings that the run at `path` was begun with. Raises `PonderosaError` if there is none."""
    try:
        return yaml.safe_load((path / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise PonderosaError(f"{path} is not a run (no {name}): name a folder made by `ponderosa {command}`") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock: IO[str]
    with (path / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PonderosaError(f"another process is working on {path}: wait for it, or end it") from None
        yield


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_whole(path, json.dumps(value, indent=1))


def read_json(path: Path) -> Any:
    """The file's value; None if there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
