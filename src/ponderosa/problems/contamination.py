"""Decontamination: which training problems stand in a benchmark, word for word or nearly so?

A training problem is contaminated if its words (see `spelling`) are those of a benchmark's problem, or if the two have
a run of `n` words in common. What others do:

* GPT-3 (arXiv 2005.14165, appendix C): a run of N words, N the 5th percentile of the benchmark's lengths, from 8 to 13.
* s1 (arXiv 2501.19393) and open-r1: any run of 8 words.
* PaLM (arXiv 2204.02311, section 8): 70 % of a problem's runs of 8 words; Llama 2 (arXiv 2307.09288, A.6): by the share
  of a problem's tokens that lie in runs of more than 10.
* Qwen2.5-Math (arXiv 2409.12122): a run of 13 words, and a longest common subsequence of 60 % of the words.

`ContaminationSettings` spans these: a run of `n` words, and the `share` of the benchmark problem's words that must lie
in such runs. What is a way of speaking ("where m and n are relatively prime positive integers, find") speaks against no
problem: runs that stand in `common` or more different problems of the benchmarks do not count. A problem that was put
into other words is not found by any of this (arXiv 2311.04850).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ponderosa.core import PonderosaError, Problem
from ponderosa.problems.spelling import words

SHORTEST, LONGEST = 8, 13
"""Where GPT-3 keeps N."""


@dataclass(frozen=True, slots=True)
class ContaminationSettings:
    """`n` words in a row; by default GPT-3's N for each benchmark, and 0 for the same question alone.

    At least `share` of the benchmark problem's words lie in such runs; 0 is content with one run. Runs that stand in
    `common` different problems of the benchmarks do not count.
    """

    n: int | None = None
    share: float = 0.5
    common: int = 5

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 0:
            raise PonderosaError(f"a run has a number of words, not {self.n}; 0 asks for the same question alone")
        if not 0 <= self.share <= 1:
            raise PonderosaError(f"the share of a question that is common is from 0 to 1, not {self.share}")
        if self.common < 2:
            raise PonderosaError("a run is common from 2 problems on: let `common` be 2 or more")


@dataclass(frozen=True, slots=True)
class Match:
    """A training problem and the benchmark problem that it is, or has `text` in common with.

    `share` is how much of the benchmark problem that is, in words.
    """

    problem_id: str
    benchmark: str
    benchmark_id: str
    kind: Literal["same", "overlap"]
    share: float
    text: str
    question: str
    benchmark_question: str


@dataclass(frozen=True, slots=True)
class _Known:
    """A problem of a benchmark."""

    benchmark: str
    id: str
    question: str
    words: tuple[str, ...]


class Benchmarks:
    """The problems of benchmarks, to look training problems up in.

    Memory is that of the benchmarks' runs of words, about 100 bytes each; training problems may pass by in any number.
    """

    def __init__(
        self, against: Mapping[str, Iterable[Problem]], settings: ContaminationSettings = ContaminationSettings()
    ) -> None:
        self.settings = settings
        self.lengths: dict[str, int] = {}
        """By benchmark how many words a run has."""
        self._known: list[_Known] = []
        self._same: dict[str, int] = {}
        self._runs: dict[int, dict[int, list[int]]] = {}
        """By their length runs of words, as hashes, and in which problems they stand."""
        for name, problems in against.items():
            self._add(name, problems)
        for runs in self._runs.values():
            for run in [run for run, places in runs.items() if self._different(places) >= settings.common]:
                del runs[run]

    def _add(self, name: str, problems: Iterable[Problem]) -> None:
        first = len(self._known)
        self._known += [_Known(name, p.id, p.question, tuple(words(p.question))) for p in problems]
        added = self._known[first:]
        self.lengths[name] = n = self._length(added)
        for place, known in enumerate(added, start=first):
            self._same.setdefault(" ".join(known.words), place)
            if n:
                runs = self._runs.setdefault(n, {})
                for run in set(_hashes(known.words, n)):
                    runs.setdefault(run, []).append(place)

    def _length(self, added: Sequence[_Known]) -> int:
        if self.settings.n is not None or not added:
            return self.settings.n or 0
        lengths = sorted(len(known.words) for known in added)
        return min(LONGEST, max(SHORTEST, lengths[len(lengths) // 20]))

    def _different(self, places: Sequence[int]) -> int:
        """How many different problems stand at `places`: benchmarks overlap."""
        return len(places) if len(places) < self.settings.common else len({self._known[i].words for i in places})

    def __len__(self) -> int:
        return len(self._known)

    def find(self, problem: Problem) -> Match | None:
        """The benchmark problem that `problem` is, or else that of which it has the largest share; None without one."""
        asked = words(problem.question)
        place = self._same.get(" ".join(asked))
        if place is not None:
            return self._match(problem, place, "same", 1.0, " ".join(asked))
        best: Match | None = None
        for n, runs in self._runs.items():
            hashes = list(_hashes(asked, n))
            places = {place for run in hashes if run in runs for place in runs[run]} if _meets(hashes, runs) else ()
            for place in sorted(places):
                share, text = self._shared(self._known[place].words, asked, n)
                if text and share >= self.settings.share and (best is None or share > best.share):
                    best = self._match(problem, place, "overlap", share, text)
        return best

    def _shared(self, known: Sequence[str], asked: Sequence[str], n: int) -> tuple[float, str]:
        """The share of the `known` words in runs that count and are among those `asked`, and the longest of these."""
        runs, own = self._runs[n], set(_grams(asked, n))
        covered = [False] * len(known)
        for i, run in enumerate(_grams(known, n)):
            if run in own and hash(run) in runs:
                covered[i : i + n] = [True] * n
        start, stop = _longest(covered)
        return sum(covered) / max(1, len(known)), " ".join(known[start:stop])

    def _match(self, problem: Problem, place: int, kind: Literal["same", "overlap"], share: float, text: str) -> Match:
        known = self._known[place]
        return Match(problem.id, known.benchmark, known.id, kind, share, text, problem.question, known.question)


@dataclass(slots=True)
class Decontamination:
    """What was found, to be read when all problems have passed by: how many, and which of them matched what."""

    problems: int = 0
    matches: list[Match] = field(default_factory=list)

    @property
    def kept(self) -> int:
        return self.problems - len(self.matches)

    def counts(self) -> dict[str, dict[str, int]]:
        """By benchmark how many training problems are one of its problems, and how many overlap with one."""
        counted = Counter((match.benchmark, match.kind) for match in self.matches)
        names = dict.fromkeys(name for name, _ in counted)
        return {name: {kind: counted[name, kind] for kind in ("same", "overlap")} for name in names}

    def to_json(self, benchmarks: Sequence[Benchmarks]) -> dict[str, Any]:
        """The counts, the settings, and every match with its texts, as JSON values."""
        return {
            "problems": self.problems,
            "removed": len(self.matches),
            "by_benchmark": self.counts(),
            "settings": [
                {"share": one.settings.share, "common": one.settings.common, "words": one.lengths} for one in benchmarks
            ],
            "matches": [{name: getattr(match, name) for name in Match.__slots__} for match in self.matches],
        }

    def __str__(self) -> str:
        """In one line."""
        if not self.matches:
            return f"none of {self.problems:,} problems stands in a benchmark"
        by_benchmark = ", ".join(
            f"{name} {' + '.join(f'{count} {kind}' for kind, count in kinds.items() if count)}"
            for name, kinds in self.counts().items()
        )
        return f"{len(self.matches):,} of {self.problems:,} problems stand in a benchmark ({by_benchmark})"


def removed_in_words(found: Mapping[str, Any]) -> str:
    """What `Decontamination.to_json` counts, and what was looked into, as a line of a report or a card."""
    by_benchmark = ", ".join(f"{name} {sum(kinds.values()):,}" for name, kinds in found["by_benchmark"].items())
    compared = ", ".join(
        f"{name} ({f'runs of {length} words' if length else 'the same question'})"
        for settings in found["settings"]
        for name, length in settings["words"].items()
    )
    return (
        f"Decontamination: {found['removed']:,} of {found['problems']:,} training problems were left out"
        f"{f' ({by_benchmark})' if by_benchmark else ''}; they were compared with {compared}."
    )


def decontaminated(
    problems: Iterable[Problem], benchmarks: Sequence[Benchmarks], found: Decontamination
) -> Iterator[Problem]:
    """The problems that stand in no benchmark, one by one; `found` counts the others.

    Several `Benchmarks`, of different settings, are asked in order.
    """
    for problem in problems:
        found.problems += 1
        match = next(filter(None, (one.find(problem) for one in benchmarks)), None)
        if match is None:
            yield problem
        else:
            found.matches.append(match)


def _grams(of: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(of[i:] for i in range(n)), strict=False)


def _hashes(of: Sequence[str], n: int) -> Iterator[int]:
    return map(hash, _grams(of, n))


def _meets(hashes: Sequence[int], runs: Mapping[int, Any]) -> bool:
    return not runs.keys().isdisjoint(hashes)


def _longest(covered: Sequence[bool]) -> tuple[int, int]:
    """Where the longest stretch of True begins and ends."""
    best, start = (0, 0), 0
    for i, inside in enumerate([*covered, False]):
        if not inside:
            best, start = max(best, (start, i), key=lambda one: one[1] - one[0]), i + 1
    return best
