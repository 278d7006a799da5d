"""The progress of a run: a live display on a terminal, plain lines elsewhere.

    with progress(console) as p:
        stage = p.stage("round 1 search", total=1000)
        stage.update(done=10, solved=6, tokens=5_200, executions=310)
        stage.finish()

An update only assigns numbers; a terminal is redrawn four times a second, and elsewhere a line is printed at a stage's
start, at its end and at most every `interval` seconds between.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

Clock = Callable[[], float]


class Stage:
    """A stage of a run. Its counters are totals, those at its start included; rates are over what it did itself."""

    def __init__(self, name: str, total: int | None, done: int, unit: str, clock: Clock) -> None:
        self.name = name
        self.total = total
        self.unit = unit
        self.done = done
        self.solved: int | None = None
        self.tokens = 0
        self.executions = 0
        self.note = ""
        self.ended = ""
        self._first = done
        self._clock = clock
        self._started = clock()
        self._stopped: float | None = None
        self._on_change: Callable[[Stage], None] = lambda stage: None

    def update(
        self,
        *,
        done: int | None = None,
        total: int | None = None,
        solved: int | None = None,
        tokens: int | None = None,
        executions: int | None = None,
        note: str | None = None,
    ) -> None:
        """Sets the counters that are given: totals of the stage, not increments. `note` is a word more, e.g. a loss."""
        if done is not None:
            self.done = done
        if total is not None:
            self.total = total
        if solved is not None:
            self.solved = solved
        if tokens is not None:
            self.tokens = tokens
        if executions is not None:
            self.executions = executions
        if note is not None:
            self.note = note
        self._on_change(self)

    def finish(self, ended: str = "done") -> None:
        """Ends the stage; a second call does nothing."""
        if not self.ended:
            self.ended = ended
            self._stopped = self._clock()
            self._on_change(self)

    @property
    def seconds(self) -> float:
        return (self._clock() if self._stopped is None else self._stopped) - self._started

    @property
    def seconds_left(self) -> float | None:
        """The time left at the stage's mean speed so far; None while that is unknown."""
        did = self.done - self._first
        if self.total is None or did <= 0:
            return None
        return self.seconds * max(self.total - self.done, 0) / did

    def facts(self) -> list[str]:
        """What is worth saying after the count, e.g. `["281 solved", "4,120 tokens/s", "0:42 left"]`."""
        facts = []
        if self.solved is not None:
            facts.append(f"{self.solved:,} solved")
        if self.seconds > 0:
            facts += [
                f"{count / self.seconds:,.0f} {name}/s"
                for count, name in ((self.tokens, "tokens"), (self.executions, "executions"))
                if count
            ]
        if self.note:
            facts.append(self.note)
        if self.ended:
            facts.append(f"took {duration(self.seconds)}")
        elif self.seconds_left is not None:
            facts.append(f"{duration(self.seconds_left)} left")
        return facts

    def count(self) -> str:
        """E.g. `340/1,000`."""
        return f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"

    def line(self) -> str:
        """The stage in one line of plain text."""
        counted = f"{self.count()} {self.unit}" if self.done or self.total else ""
        return f"{self.name}: " + (", ".join(filter(None, [self.ended, counted, *self.facts()])) or "started")


class Progress:
    """The stages of a run, one after the other or at once."""

    def __init__(self, *, on_change: Callable[[Stage], None] | None = None, clock: Clock = time.monotonic) -> None:
        self.stages: list[Stage] = []
        self._on_change = on_change
        self._clock = clock

    def stage(self, name: str, total: int | None = None, *, done: int = 0, unit: str = "problems") -> Stage:
        """Begins a stage of `total` units (None: unknown), of which `done` were done before."""
        stage = Stage(name, total, done, unit, self._clock)
        self.stages.append(stage)
        if self._on_change is not None:
            stage._on_change = self._on_change
            self._on_change(stage)
        return stage

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Finished stages come first and a line each, so that what moves stays at the bottom.
        for stage in self.stages:
            if stage.ended:
                mark = Text("✓ ", style="green") if stage.ended == "done" else Text("✗ ", style="red")
                yield mark + Text(stage.line(), style="dim")
        for stage in self.stages:
            if not stage.ended:
                yield _live_row(stage)
                yield Text("  " + " · ".join(stage.facts()), style="dim")


@contextmanager
def progress(console: Console, *, interval: float = 5.0, clock: Clock = time.monotonic) -> Iterator[Progress]:
    """Shows the stages that are begun inside; a stage left open by an error is shown as interrupted."""
    if console.is_terminal:
        shown = Progress(clock=clock)
        live = Live(shown, console=console, refresh_per_second=4)
        with live, _stages_closed(shown):
            yield shown
    else:
        shown = Progress(on_change=_plain_lines(console, interval, clock), clock=clock)
        with _stages_closed(shown):
            yield shown


@contextmanager
def _stages_closed(shown: Progress) -> Iterator[None]:
    ended = "interrupted"
    try:
        yield
        ended = "done"
    finally:
        for stage in shown.stages:
            stage.finish(ended)


def _plain_lines(console: Console, interval: float, clock: Clock) -> Callable[[Stage], None]:
    printed: dict[Stage, float] = {}

    def on_change(stage: Stage) -> None:
        now = clock()
        if stage.ended or now - printed.get(stage, float("-inf")) >= interval:
            printed[stage] = now
            console.print(stage.line(), markup=False, highlight=False, soft_wrap=True)

    return on_change


def _live_row(stage: Stage) -> Table:
    row = Table.grid(padding=(0, 1))
    # An unknown total makes the bar pulse.
    bar = ProgressBar(total=stage.total, completed=stage.done, pulse=stage.total is None, width=24)
    row.add_row(Text(stage.name, style="bold"), bar, f"{stage.count()} {stage.unit}")
    return row


def duration(seconds: float) -> str:
    """E.g. `0:42`, `12:05` or `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
