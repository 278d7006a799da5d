"""Which right solutions are good to read: the filters of DeepSeek-R1's rejection sampling (arXiv 2501.12948, section
2.3.3), and pairs of solutions from which a reward model learns that preference.

Beyond being right, a solution is to be in one language, without endless paragraphs, and without blocks of code.
"""

import re
from collections.abc import Callable, Iterable
from itertools import cycle, islice
from math import lcm

from pydantic import Field

from ponderosa.core import Problem, Tree, answer_alone, find_attribute, make_format
from ponderosa.evolution.settings import Part
from ponderosa.forest import PairRow, Trajectory, trajectories
from ponderosa.forest.rows import Scope
from ponderosa.training.languages import check_languages, language_share

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
Readable = Callable[[str, str], bool]
"""Can a text be read, in this language?"""


class Readability(Part):
    """What can be read: a text with at least the share `consistency` of its words in its problem's language, which is
    the problem's `meta["language"]` or `language`; no paragraph of more than `paragraph` characters; and, unless `code`
    is allowed, no fenced block, whatever its language.

    `share` is a function of one's own that gives that share, `python:module:attribute`, called with text and language;
    by default languages are told from the others `among` which they are sought, or from all if none is named.
    """

    language: str = "en"
    among: tuple[str, ...] = ()
    share: str = ""
    consistency: float = Field(0.95, ge=0, le=1)
    paragraph: int = Field(4000, ge=1)
    code: bool = False

    def reader(self) -> Readable:
        """Raises `PonderosaError` for a function that there is not, and for languages that cannot be told."""
        if not self.share:
            check_languages((self.language, *self.among))
        share, options = find_attribute(self.share) if self.share else (language_share, {"among": self.among})

        def readable(text: str, language: str) -> bool:
            if not self.code and _FENCE.search(text):
                return False
            if any(len(paragraph) > self.paragraph for paragraph in text.splitlines()):
                return False
            return bool(share(text, language, **options) >= self.consistency)

        return readable

    def keeper(self, problems: Iterable[Problem]) -> Callable[[Trajectory], bool]:
        """Whether a trajectory of one of the problems can be read. Raises `PonderosaError` likewise."""
        readable = self.reader()
        languages = {problem.id: str(problem.meta.get("language", self.language)) for problem in problems}
        if not self.share:
            check_languages(languages.values())
        return lambda trajectory: readable("".join(trajectory.steps), languages[trajectory.problem_id])


Keep = Callable[[Trajectory], bool | None]
"""Is a trajectory good? None where nobody could say."""


def preferences(trees: Iterable[Tree], format: str, keep: Keep, most: int = 2) -> list[PairRow]:
    """At most `most` pairs a tree of whole solutions in the step format of that name: one that is right and that one
    would keep, and one that is not. What nobody could judge is on neither side.

    A tree's pairs share no solution as long as there are others. Where the other one is wrong, their answers alone are
    a pair, too (scope "answer", see `core.answer_alone`), since a reward may read no more than these.
    """
    return [row for tree in trees for row in _pairs(tree, format, keep, most)]


def _pairs(tree: Tree, format: str, keep: Keep, most: int) -> Iterable[PairRow]:
    good: dict[str, Trajectory] = {}
    bad: dict[str, Trajectory] = {}
    for found in trajectories(tree):
        kept = keep(found) if found.correct and not found.erred else False
        if kept is not None:
            (good if kept else bad).setdefault("".join(found.steps), found)
    if not good or not bad:
        return
    prompt = make_format(format).render(tree.question).text
    both = zip(cycle(good.values()), cycle(bad.values()), strict=False)
    said: set[tuple[str, str]] = set()
    for better, worse in islice(both, min(most, lcm(len(good), len(bad)))):
        yield _pair(prompt, better, worse, "trajectory", "".join(better.steps), "".join(worse.steps))
        answers = _alone(better, format), _alone(worse, format)
        if not worse.correct and answers[0] != answers[1] and answers not in said:
            said.add(answers)
            yield _pair(prompt, better, worse, "answer", *answers)


def _alone(found: Trajectory, format: str) -> str:
    return answer_alone(format, found.steps, found.answer) or ""


def _pair(prompt: str, better: Trajectory, worse: Trajectory, scope: Scope, chosen: str, rejected: str) -> PairRow:
    return PairRow(
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        weight=1.0,
        margin=better.mean_q - worse.mean_q,
        scope=scope,
        problem_id=better.problem_id,
        question=better.question,
        tree_id=better.tree_id,
        prefix_node=0,
        chosen_node=better.nodes[-1],
        rejected_node=worse.nodes[-1],
    )
