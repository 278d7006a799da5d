import io

import pytest
from rich.console import Console

from ponderosa.view.progress import Progress, duration, progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_line_is_printed_at_the_start_at_the_end_and_every_five_seconds_between(console, printed, clock):
    with progress(console, clock=clock) as p:
        stage = p.stage("round 1 search", total=1000)
        for second in range(1, 13):
            clock.now += 1
            stage.update(done=second * 10, solved=second * 5, tokens=second * 4000, executions=second * 300)
        stage.finish()
    assert printed().splitlines() == [
        "round 1 search: 0/1,000 problems",
        "round 1 search: 50/1,000 problems, 25 solved, 4,000 tokens/s, 300 executions/s, 1:35 left",
        "round 1 search: 100/1,000 problems, 50 solved, 4,000 tokens/s, 300 executions/s, 1:30 left",
        "round 1 search: done, 120/1,000 problems, 60 solved, 4,000 tokens/s, 300 executions/s, took 0:12",
    ]


def test_a_resumed_stage_takes_its_speed_from_what_it_did_itself(clock):
    stage = Progress(clock=clock).stage("search", total=1000, done=900)
    clock.now += 10
    assert stage.seconds_left is None
    stage.update(done=950)
    assert stage.seconds_left == pytest.approx(10)


def test_a_stage_of_unknown_length_has_no_time_left(clock):
    stage = Progress(clock=clock).stage("warming up", unit="steps")
    assert stage.line() == "warming up: started"
    clock.now += 10
    stage.update(done=5, note="loss 0.31")
    assert stage.seconds_left is None
    assert stage.line() == "warming up: 5 steps, loss 0.31"


def test_an_update_leaves_what_it_does_not_name(clock):
    stage = Progress(clock=clock).stage("search", total=10)
    stage.update(done=3, solved=2)
    stage.update(total=20)
    assert (stage.done, stage.solved, stage.total) == (3, 2, 20)


def test_a_stage_ends_once_and_its_time_stands_still(console, printed, clock):
    with progress(console, clock=clock) as p:
        stage = p.stage("train", total=2, unit="steps")
        clock.now += 3
        stage.finish()
        clock.now += 60
        stage.finish()
    assert stage.seconds == 3
    assert printed().count("took 0:03") == 1


def test_a_stage_left_open_by_an_error_is_interrupted(console, printed):
    def stopped():
        with progress(console) as p:
            p.stage("search", total=10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "search: interrupted, 0/10 problems" in printed()


def test_two_stages_at_once_do_not_silence_each_other(console, printed, clock):
    with progress(console, clock=clock) as p:
        p.stage("one", total=1)
        p.stage("two", total=1)
    assert [line.split(":")[0] for line in printed().splitlines()] == ["one", "two", "one", "two"]


def test_on_a_terminal_the_live_display_ends_with_every_stage_on_a_line():
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with progress(console) as p:
        search = p.stage("round 1 search", total=10)
        search.update(done=4, solved=3)
        search.finish()
        p.stage("round 1 SFT", total=5, unit="steps")
    last = console.file.getvalue().split("✓")
    assert "round 1 search: done, 4/10 problems, 3 solved" in last[-2]
    assert "round 1 SFT: done, 0/5 steps" in last[-1]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (42, "0:42"), (59.7, "1:00"), (725, "12:05"), (3725, "1:02:05")]
)
def test_durations_read_as_clocks_do(seconds, text):
    assert duration(seconds) == text
