"""How fast answers are compared, in one process: `python benchmarks/grading.py`.

Plain numbers are compared at once; LaTeX goes to math-verify in a process of its own, one at a time here. The last
line is what a pair that cannot be decided costs, and what comes after it.
"""

import asyncio
import random
import time

from ponderosa.core import Problem
from ponderosa.grading import MathGrader

NUMBERS, LATEX = 50_000, 1_000


def latex(rng: random.Random) -> tuple[str, str]:
    """A value written in two ways."""
    a, b, c = (rng.randint(2, 60) for _ in range(3))
    return rng.choice(
        [
            (f"{a}\\sqrt{{{b * c * c}}}", f"{a * c}\\sqrt{{{b}}}"),
            (f"\\frac{{{a}x+{b}}}{{{c}}}", f"\\frac{{{a}x}}{{{c}}}+\\frac{{{b}}}{{{c}}}"),
            (f"({a}, {b}\\pi)", f"({a}, \\pi\\cdot {b})"),
            (f"\\{{{a}, {-b}\\}}", f"\\{{{-b}, {a}\\}}"),
            (f"x^2+{a + b}x+{a * b}", f"(x+{a})(x+{b})"),
            (f"y={a}x+{b}", f"{a}x-y+{b}=0"),
        ]
    )


async def main() -> None:
    rng = random.Random(0)
    numbers = [(str(value), f"{value:,}.0") for value in (rng.randint(1000, 10**7) for _ in range(NUMBERS))]
    async with MathGrader(timeout_s=2.0) as grader:
        started = time.perf_counter()
        for gold, answer in numbers:
            assert (await grader.grade(answer, Problem("", "", gold))).correct
        print(f"plain numbers: {NUMBERS / (time.perf_counter() - started):,.0f} a second")
        await grader.grade("\\pi", Problem("", "", "\\sqrt{2}"))  # its process starts
        took, right = [], 0
        for gold, answer in (latex(rng) for _ in range(LATEX)):
            started = time.perf_counter()
            right += (await grader.grade(answer, Problem("", "", gold))).correct
            took.append(time.perf_counter() - started)
        took.sort()
        half, most = took[LATEX // 2], took[int(0.99 * LATEX)]
        print(f"LaTeX, in two ways: median {1e3 * half:.1f} ms, p99 {1e3 * most:.1f} ms; {right} of {LATEX} equal")
        started = time.perf_counter()
        verdict = await grader.grade("10^{10^{10}}", Problem("", "", "10^{10^{9}}"))
        lost = time.perf_counter() - started
        started = time.perf_counter()
        after = await grader.grade("2\\sqrt{3}", Problem("", "", "\\sqrt{12}"))
        next_ms = 1e3 * (time.perf_counter() - started)
        print(f"10^(10^10): {verdict.status}, {lost:.2f} s; the next one {next_ms:.0f} ms, {after.correct}")


asyncio.run(main())
