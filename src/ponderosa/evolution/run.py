"""A run is a folder, and everything in it can be killed: what a stage has finished is there whole, and stays."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar, Generic, Protocol, Self, TypeVar

import yaml

from ponderosa.cluster import Shard, ShardProgress, WorkerPool
from ponderosa.core import PonderosaError
from ponderosa.evolution.recipe import Recipe, WorkerSettings
from ponderosa.evolution.settings import Part, differences, parse
from ponderosa.training import Progress


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


class Titled:
    """An observer whose stages begin with a title, that of one run among several."""

    def __init__(self, observer: Observer, title: str) -> None:
        self._observer = observer
        self._title = title

    def stage(self, name: str, total: int | None = None, *, done: int = 0, unit: str = "problems") -> StageView:
        return self._observer.stage(f"{self._title}: {name}", total, done=done, unit=unit)


def show_training(view: StageView) -> Callable[[Progress], None]:
    """What has a view follow a training."""

    def update(progress: Progress) -> None:
        view.update(
            done=progress.step,
            total=progress.steps,
            tokens=progress.tokens,
            note=progress.note or f"loss {progress.loss:.3f}",
        )

    return update


async def run_shards(
    pool: WorkerPool, work: Sequence[Shard], title: str, observer: Observer, unit: str = "problems"
) -> None:
    """Runs the shards that are not done, all at once, so that the end of one forest fills up with the others.

    `unit` is what a tree is to who watches: a problem, or one of several searches of it.
    """
    waiting = [shard for shard in work if not shard.done]
    if not waiting:
        return
    before = sum(shard.stop - shard.start for shard in work if shard.done)
    judged = all(shard.judged for shard in waiting)
    view = observer.stage(title, sum(shard.stop - shard.start for shard in work), done=before, unit=unit)

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


R = TypeVar("R", bound=Recipe)


class Run(Generic[R]):
    """The folder of a run: recipe, rounds, results. Only one process may work on it at a time."""

    def __init__(self, path: Path, recipe: R) -> None:
        self.path = path
        self.recipe = recipe

    @classmethod
    @contextmanager
    def open(cls, path: Path, recipe: R) -> Iterator["Run[R]"]:
        """Opens a new run, or one to go on with.

        Raises `PonderosaError` if the folder holds a run with another recipe (naming what differs), something else, or
        is in use. Its servers and workers may be others: they are where it runs, not what it is.
        """
        settings = recipe.model_dump(mode="json")

        def begun_with() -> dict[str, Any]:
            record = snapshot(path, RECIPE, "evolve") | {key: settings[key] for key in ("servers", "workers")}
            if record.get("loop", recipe.loop) != recipe.loop:
                return settings | {"loop": record["loop"]}  # the rest cannot be compared
            return parse(type(recipe), record, str(path / RECIPE)).model_dump(mode="json")

        other = "; a new run can take over what this one has made by `reuse` (docs/learning.md)"
        with claimed(path, RECIPE, settings, begun_with, other):
            yield cls(path, recipe)

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
    path: Path, name: str, settings: dict[str, Any], begun_with: Callable[[], dict[str, Any]], otherwise: str = ""
) -> Iterator[None]:
    """The folder `path` with its settings in the file `name`, new or to go on with, for this process alone.

    `begun_with` reads the settings that are there; where nothing else is, they are replaced. Raises `PonderosaError` if
    they differ (naming what does, and what can be done `otherwise`), or if the folder holds something else, or is in
    use.
    """
    path.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        others = sorted(p.name for p in path.iterdir() if p.name not in (LOCK, name))
        if others and (path / name).exists():
            if changes := differences(begun_with(), settings):
                raise PonderosaError(
                    f"{path} was begun with other settings ({'; '.join(changes)}): "
                    f"choose another --out, or run it with its own{otherwise}"
                )
        elif others:
            raise PonderosaError(f"{path} holds {', '.join(others[:3])} but no {name}: choose another --out")
        else:
            write_settings(path / name, settings)
        yield


def snapshot(path: Path, name: str, command: str) -> Any:
    """The settings that the run at `path` was begun with. Raises `PonderosaError` if there is none."""
    try:
        return yaml.safe_load((path / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise PonderosaError(f"{path} is not a run (no {name}): name a folder made by `ponderosa {command}`") from error


class FolderSettings(Part):
    """The settings of a command, kept in the folder that it makes. The `workers` may be others when it goes on: they
    are where it runs, not what it is.
    """

    FILE: ClassVar[str]
    COMMAND: ClassVar[str]

    workers: WorkerSettings = WorkerSettings()

    @classmethod
    def of(cls, path: Path) -> Self:
        """Those of the folder `path`. Raises `PonderosaError` if there are none."""
        return parse(cls, snapshot(path, cls.FILE, cls.COMMAND), str(path / cls.FILE))

    @contextmanager
    def claim(self, path: Path) -> Iterator[None]:
        """The folder, new or to go on with. Raises `PonderosaError` as `claimed` does."""
        settings = self.model_dump(mode="json")

        def begun_with() -> dict[str, Any]:
            return self.of(path).model_dump(mode="json") | {"workers": settings["workers"]}

        with claimed(path, self.FILE, settings, begun_with):
            yield


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


def write_settings(path: Path, settings: Any) -> None:
    """Writes a YAML file whole or not at all."""
    write_whole(path, yaml.safe_dump(settings, sort_keys=False))


def read_json(path: Path) -> Any:
    """The file's value; None if there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def rounds(run: Path) -> list[Path]:
    """The folders of a run's rounds that have a policy, in order."""
    numbers = ((path.parent.name.removeprefix("round-"), path.parent) for path in run.glob("round-*/policy"))
    found = {int(number): folder for number, folder in numbers if number.isdecimal()}
    return [found[number] for number in sorted(found)]
