import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponderosa.core import BackendError, Completion, Ended, PonderosaError, Prompt, Sampling, Scored
from ponderosa.core import Path as StepPath
from ponderosa.models import Journal, JournaledPolicy, JournaledReward

HOT = Sampling(temperature=0.7, stop=("<end_of_step>",))


class CountingPolicy:
    def __init__(self) -> None:
        self.calls = 0

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        self.calls += 1
        await asyncio.sleep(0)
        return [
            Completion(f"{prompt.text}\n{seed}.{i} é\ud800", Ended.STOP, "<end_of_step>", 3, 5, 2, -0.1 * i)
            for i in range(n)
        ]


class CountingReward:
    def __init__(self) -> None:
        self.scored: list[StepPath] = []

    async def score(self, paths: Sequence[StepPath], *, last_only: bool = False) -> list[Scored]:
        self.scored += paths
        asked = [steps[-1:] if last_only else steps for _, steps in paths]
        return [Scored(tuple(0.1 * len(step) for step in steps), 7 * len(steps), 2) for steps in asked]


def request(i: int) -> tuple[Prompt, int, Sampling, int]:
    return Prompt("q", "head", f"body {i}"), 2, HOT, i


def test_what_was_recorded_is_replayed_by_a_journal_without_a_model(tmp_path: Path) -> None:
    inner = CountingPolicy()
    with Journal(tmp_path / "journal") as journal:
        first = asyncio.run(JournaledPolicy(inner, journal).propose(*request(1)))
        assert (journal.recorded, journal.replayed) == (1, 0)
    with Journal(tmp_path / "journal") as journal:
        assert asyncio.run(JournaledPolicy(None, journal).propose(*request(1))) == first
        assert (journal.recorded, journal.replayed) == (0, 1)
    assert inner.calls == 1


@pytest.mark.parametrize(
    "other",
    [
        (Prompt("q", "head", "body 2"), 2, HOT, 1),
        (Prompt("q", "head", "body 1"), 3, HOT, 1),
        (Prompt("q", "head", "body 1"), 2, Sampling(temperature=0.8, stop=("<end_of_step>",)), 1),
        (Prompt("q", "head", "body 1"), 2, HOT, 2),
    ],
    ids=["prompt", "n", "sampling", "seed"],
)
def test_a_request_that_differs_in_anything_is_another_request(
    tmp_path: Path, other: tuple[Prompt, int, Sampling, int]
) -> None:
    with Journal(tmp_path / "journal") as journal:
        asyncio.run(JournaledPolicy(CountingPolicy(), journal).propose(*request(1)))
        replay = JournaledPolicy(None, journal)
        with pytest.raises(BackendError, match="has no answer to"):
            asyncio.run(replay.propose(*other))


def test_models_that_share_a_journal_are_told_apart(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        asyncio.run(JournaledPolicy(CountingPolicy(), journal, "round 1").propose(*request(1)))
        with pytest.raises(BackendError, match="has no answer to"):
            asyncio.run(JournaledPolicy(None, journal, "round 2").propose(*request(1)))


def test_concurrent_callers_of_one_request_ask_once(tmp_path: Path) -> None:
    inner = CountingPolicy()

    async def ten(policy: JournaledPolicy) -> list[list[Completion]]:
        return await asyncio.gather(*(policy.propose(*request(i % 2)) for i in range(10)))

    with Journal(tmp_path / "journal") as journal:
        answers = asyncio.run(ten(JournaledPolicy(inner, journal)))
        assert (journal.recorded, journal.replayed) == (2, 8)
    assert inner.calls == 2
    assert answers == answers[:2] * 5


def test_when_the_caller_that_asked_gives_up_one_that_waits_asks_again(tmp_path: Path) -> None:
    class SlowFirst(CountingPolicy):
        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
            answer = await super().propose(prompt, n, sampling, seed)
            if self.calls == 1:
                await asyncio.sleep(60)
            return answer

    async def give_up_and_wait(policy: JournaledPolicy) -> list[Completion]:
        leader = asyncio.create_task(policy.propose(*request(1)))
        follower = asyncio.create_task(policy.propose(*request(1)))
        await asyncio.sleep(0.01)
        leader.cancel()
        return await follower

    inner = SlowFirst()
    with Journal(tmp_path / "journal") as journal:
        assert len(asyncio.run(give_up_and_wait(JournaledPolicy(inner, journal)))) == 2
    assert inner.calls == 2


def test_a_failure_is_not_recorded(tmp_path: Path) -> None:
    class Failing(CountingPolicy):
        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
            raise BackendError("down")

    with Journal(tmp_path / "journal") as journal:
        with pytest.raises(BackendError, match="down"):
            asyncio.run(JournaledPolicy(Failing(), journal).propose(*request(1)))
        assert len(asyncio.run(JournaledPolicy(CountingPolicy(), journal).propose(*request(1)))) == 2


def test_scores_are_recorded_path_by_path(tmp_path: Path) -> None:
    a, b, c = ("q", ("s1",)), ("q", ("s1", "s22")), ("q", ())
    inner = CountingReward()
    with Journal(tmp_path / "journal") as journal:
        reward = JournaledReward(inner, journal)
        first = asyncio.run(reward.score([a, b, c]))
        assert asyncio.run(reward.score([b, a])) == [first[1], first[0]]
        assert inner.scored == [a, b, c]
        last = asyncio.run(reward.score([b], last_only=True))
    with Journal(tmp_path / "journal") as journal:
        replay = JournaledReward(None, journal)
        assert asyncio.run(replay.score([c, b, a])) == [first[2], first[1], first[0]]
        assert asyncio.run(replay.score([b], last_only=True)) == last
        assert journal.replayed == 4
        with pytest.raises(BackendError, match="no score of"):
            asyncio.run(replay.score([a], last_only=True))


def test_steps_are_not_confused_with_their_concatenation(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        reward = JournaledReward(CountingReward(), journal)
        first, second = asyncio.run(reward.score([("q", ("ab", "c")), ("q", ("a", "bc"))]))
        assert first.values == pytest.approx([0.2, 0.1])
        assert second.values == pytest.approx([0.1, 0.2])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(min_value=0), garbage=st.binary(max_size=20))
def test_a_journal_torn_anywhere_keeps_all_whole_lines_and_takes_new_ones(
    tmp_path: Path, cut: int, garbage: bytes
) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        for i in range(3):
            asyncio.run(JournaledPolicy(CountingPolicy(), journal).propose(*request(i)))
    data = path.read_bytes()
    torn = data[: cut % (len(data) + 1)] + garbage.replace(b"\n", b"")
    path.write_bytes(torn)
    inner = CountingPolicy()
    with Journal(path) as journal:
        assert len(journal) == torn.count(b"\n")
        for i in range(3):
            asyncio.run(JournaledPolicy(inner, journal).propose(*request(i)))
    assert inner.calls == 3 - torn.count(b"\n")
    with Journal(path) as journal:
        assert len(journal) == 3


def test_every_answer_reaches_the_file_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        asyncio.run(JournaledPolicy(CountingPolicy(), journal).propose(*request(1)))
        assert (tmp_path / "journal").read_bytes().endswith(b"]\n")


def test_a_full_disk_is_one_clear_line_and_leaves_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        policy = JournaledPolicy(CountingPolicy(), journal)
        asyncio.run(policy.propose(*request(1)))
        whole = path.read_bytes()

        class Full:
            def __init__(self, file: object) -> None:
                self.file = file

            def write(self, data: bytes) -> int:
                return self.file.write(data[:10])  # type: ignore[attr-defined,no-any-return]

            def __getattr__(self, name: str) -> object:
                return getattr(self.file, name)

        monkeypatch.setattr(journal, "_file", Full(journal._file))
        with pytest.raises(PonderosaError, match=r"cannot write the journal .*the disk is full"):
            asyncio.run(policy.propose(*request(2)))
        assert path.read_bytes() == whole


def test_a_journal_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PonderosaError, match="cannot write the journal"):
        Journal(tmp_path / "file" / "journal")
