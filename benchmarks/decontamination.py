"""Decontamination at full size: `python benchmarks/decontamination.py --data-dir FOLDER [--problems 747000]`.

Training problems are made of the words of the benchmarks in FOLDER, so that they share vocabulary and phrases but no
problem: runs of 3 to 5 words of random benchmark problems, one after the other. One in a hundred is a benchmark problem
that was altered in a known way. Said are the time, and the share that is found of each alteration and of the others.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ponderosa.core import PonderosaError, Problem
from ponderosa.problems import BENCHMARKS, Benchmarks, Decontamination, decontaminated, load_problems

SPELT = {"\\frac": "\\dfrac", "$": "", ". ": ".  ", "(": "\\left(", ")": "\\right)", " + ": "+", "What": "what"}


def respelt(question: str, rng: random.Random) -> str:
    for old, new in SPELT.items():
        question = question.replace(old, new)
    return question


def embedded(question: str, rng: random.Random) -> str:
    return f"Here is a task from last year's paper. {question} Explain every step."


def cut(question: str, rng: random.Random) -> str:
    words = question.split()
    return " ".join(words[: -max(1, len(words) // 5)])


def renumbered(question: str, rng: random.Random) -> str:
    """Not the same problem any more, but made from it."""
    return "".join(str((int(c) + 3) % 10) if c.isdigit() else c for c in question)


ALTERED = {"as it is": lambda q, rng: q, "respelt": respelt, "embedded": embedded, "last fifth cut": cut}
ALTERED |= {"other digits": renumbered}


def made(known: list[Problem], count: int, rng: random.Random) -> Iterator[Problem]:
    words = [problem.question.split() for problem in known]
    kinds = list(ALTERED)
    for number in range(count):
        if number % 100 == 0:
            kind = kinds[number // 100 % len(kinds)]
            yield Problem(f"{kind}#{number}", ALTERED[kind](rng.choice(known).question, rng))
            continue
        text: list[str] = []
        while len(text) < 40:
            source = rng.choice(words)
            start = rng.randrange(len(source))
            text += source[start : start + rng.randint(3, 5)]
        yield Problem(f"unlike all#{number}", " ".join(text))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=747_000)
    asked = parser.parse_args()
    against: dict[str, list[Problem]] = {}
    for name in BENCHMARKS:
        try:
            against[name] = load_problems(name, asked.data_dir).problems
        except PonderosaError:
            continue
    known = [problem for problems in against.values() for problem in problems]
    began = time.process_time()
    benchmarks = Benchmarks(against)
    print(f"{len(known):,} problems of {', '.join(against)}: indexed in {time.process_time() - began:.1f} s")
    took, counts, found = 0.0, Counter[str](), Decontamination()
    stream = made(known, asked.problems, random.Random(1))
    while batch := list(islice(stream, 10_000)):
        counts.update(problem.id.partition("#")[0] for problem in batch)
        began = time.process_time()
        for _ in decontaminated(batch, [benchmarks], found):
            pass
        took += time.process_time() - began
    each = 1e6 * took / found.problems
    print(f"{found.problems:,} training problems looked up in {took:.0f} s of one core: {each:.0f} µs each")
    hits = Counter(match.problem_id.partition("#")[0] for match in found.matches)
    for kind, count in counts.items():
        print(f"{kind}: {hits[kind]:,} of {count:,} found ({100 * hits[kind] / count:.2f} %)")


if __name__ == "__main__":
    main()
