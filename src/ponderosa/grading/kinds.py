"""`ProblemGrader`: each problem's answers graded as its kind asks."""

from ponderosa.core import Executor, Graded, Grader, Kind, Problem, Verdict
from ponderosa.grading.choices import ChoiceGrader
from ponderosa.grading.grader import MathGrader
from ponderosa.grading.programs import CodeGrader


class ProblemGrader:
    """The `Grader` for every kind of problem; programs are run by `executor`. Both arguments stay the caller's."""

    def __init__(self, math: MathGrader, executor: Executor) -> None:
        self._graders: dict[Kind, Grader] = {
            Kind.MATH: math,
            Kind.CHOICE: ChoiceGrader(),
            Kind.CODE: CodeGrader(executor),
        }

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        """See `Grader.grade`."""
        if (grader := self._graders.get(problem.kind)) is None:
            return Verdict(False, Graded.NO_REFERENCE, f"only a model can judge a {problem.kind}")
        return await grader.grade(answer, problem)

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        """See `Grader.equivalent`."""
        grader = self._graders.get(problem.kind)
        return a == b if grader is None else await grader.equivalent(a, b, problem)
