"""Signs of reflection: trajectories that abandon a failing line, take another, and end right.

rStar-Math (arXiv 2501.04519, section 5 and appendix) shows one where the model comes back from a wrong formula by
itself. What counts here is what can be told from the trajectory alone, with few false alarms rather than all signs:

* `code_error`: a step fails to run, and a later one, which is another, runs;
* `failed_check`: an assertion fails, or a printed comparison is False, and another step follows;
* `redone`: a value is computed anew in a later step, not from itself, and nothing rests on the old one (see `redone`);
* `said`: the text says that it was wrong ("Wait, ...", "this is not right", "let me try another approach"), in words
  that are not the question's, and goes on.

That a search tries several children is its doing, not the model's, and is no reflection: only what lies on one path
counts. Whether a trajectory ends right is the judge's word.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ponderosa.core import Node, Tree
from ponderosa.core.format import END_OF_OUTPUT, MARKERS, OUTPUT
from ponderosa.forest.redone import redone
from ponderosa.forest.trajectory import is_correct


class Sign(StrEnum):
    """How it shows that a line was abandoned."""

    CODE_ERROR = "code_error"
    FAILED_CHECK = "failed_check"
    REDONE = "redone"
    SAID = "said"


@dataclass(frozen=True, slots=True)
class Reflection:
    """A trajectory that turns round: it ends at the node `end`; `at` and `anew` are steps, counted from 0.

    At step `at` it shows that the line fails (`evidence` says how), and step `anew` begins another one. Steps that
    `said` so and go on themselves are both.
    """

    problem_id: str
    tree_id: str
    question: str
    end: int
    correct: bool
    sign: Sign
    at: int
    anew: int
    evidence: str
    steps: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class ReflectionCount:
    """Of `trajectories` with an answer `correct` are right; `reflecting` turn round, and `recovered` of them end right.

    `signs` are those of the recovered ones, one each: the first. `examples` are some of them, of different problems.
    """

    trajectories: int = 0
    correct: int = 0
    reflecting: int = 0
    recovered: int = 0
    signs: Counter[str] = field(default_factory=Counter)
    examples: list[Reflection] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"signs": {sign: self.signs[sign] for sign in Sign if self.signs[sign]}}


def count_reflections(trees: Iterable[Tree], examples: int = 2) -> ReflectionCount:
    """The counts over all trajectories with a judge's word; `examples` are kept, those with the rarer signs first."""
    count = ReflectionCount()
    kept: dict[Sign, dict[str, Reflection]] = {}
    for tree in trees:
        for end in tree.answered():
            if tree.nodes[end].reward is None:
                continue
            count.trajectories += 1
            count.correct += is_correct(tree.nodes[end])
            found = reflection(tree, end)
            if found is None:
                continue
            count.reflecting += 1
            if found.correct:
                count.recovered += 1
                count.signs[found.sign] += 1
                kept.setdefault(found.sign, {}).setdefault(found.problem_id, found)
    rarest = sorted(kept, key=lambda sign: count.signs[sign])
    while len(count.examples) < examples and any(kept.values()):
        count.examples += [kept[sign].pop(next(iter(kept[sign]))) for sign in rarest if kept[sign]]
    del count.examples[examples:]
    return count


def reflection(tree: Tree, end: int) -> Reflection | None:
    """The first sign of reflection on the path to `end`, an answer; None without one."""
    path = [tree.nodes[i] for i in tree.path(end)]
    found = sorted(_signs(tree.question, path), key=lambda sign: sign[1])
    if not found:
        return None
    sign, at, anew, evidence = found[0]
    return Reflection(
        tree.problem_id,
        tree.id,
        tree.question,
        end,
        is_correct(path[-1]),
        sign,
        at,
        anew,
        evidence,
        tuple(node.text for node in path),
    )


_Found = tuple[Sign, int, int, str]


def _signs(question: str, path: list[Node]) -> Iterator[_Found]:
    codes = [_code(node.text) for node in path]
    last = len(path) - 1
    for at, node in enumerate(path):
        anew = next((i for i in range(at + 1, last + 1) if not path[i].error), None)
        others = at < last and node.text.strip() != path[at + 1].text.strip()
        if node.error and anew is not None and others and codes[anew]:
            failed = node.error.startswith("AssertionError")
            yield Sign.FAILED_CHECK if failed else Sign.CODE_ERROR, at, anew, node.error
        elif others and anew is not None and codes[anew] and _printed_false(codes[at], node):
            yield Sign.FAILED_CHECK, at, anew, "False"
        if (said := _said(node.text, question)) is not None:
            words, rest = said
            if len(rest.split()) >= _GOES_ON:
                yield Sign.SAID, at, at, words
            elif at < last:
                yield Sign.SAID, at, at + 1, words
    sound = [code if not node.error else "" for code, node in zip(codes, path, strict=True)]
    for again in redone(sound):
        yield Sign.REDONE, again.dropped, again.anew, again.name


_BLOCK = re.compile(r"^```(?:python|py)[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(
    rf"{re.escape(OUTPUT)}(.*?){re.escape(END_OF_OUTPUT)}|^```output\n(.*?)^```", re.MULTILINE | re.DOTALL
)
_MARKERS = re.compile("|".join(map(re.escape, MARKERS)))
_COMPARED = re.compile(r"^print\(.*(?:[=!<>]=|[<>]|\bin\b|\bisclose\b|\ball\b|\bcheck).*\)$")


def _code(text: str) -> str:
    """The Python of a step: its fenced blocks, or all of one that is written as code; empty for words."""
    if "```" in text:
        return "\n".join(match[1] for match in _BLOCK.finditer(text))
    bare = _MARKERS.sub("", _SHOWN.sub("", text)).strip()
    return "" if "\\boxed" in bare else bare


def _printed_false(code: str, node: Node) -> bool:
    """Is the last that the step prints the result of a comparison, and False?"""
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    if not lines or not _COMPARED.match(lines[-1]):
        return False
    shown = _SHOWN.search(node.text)
    output = (shown[1] or shown[2] or "") if shown else node.output
    return output.strip().rpartition("\n")[2] == "False"


_GOES_ON = 6
"""Words that follow in the same step where that goes on by itself."""

_CUES = re.compile(
    r"""
    (?:^|(?<=[.!?\n#]))[ \t"'(*]*(?:oh,?[ ]|hmm,?[ .]+|but[ ]|no,?[ ])?(?:
        wait\b(?=\s*[,.!:;…—-]|\s+(?:that|this|no|I)\b)
      | hold[ ]on\b | scratch[ ]that\b | correction: | on[ ]second[ ]thou?ghts?\b
      | (?:actually|however|but|no)?,?[ ]*(?:this|that)(?:'s|[ ]is|[ ]was|[ ]isn't|[ ]is[ ]not|'s[ ]not|[ ]seems)[ ]
        (?:clearly[ ])?(?:not[ ])?(?:wrong|incorrect|right|correct|mistaken|a[ ]mistake)\b
    )
  | \bI(?:[ ]have|'ve)?[ ]made[ ](?:a|an)[ ](?:\w+[ ])?(?:mistake|error)\b
  | \bI(?:[ ]have|'ve)?[ ](?:misread|miscounted|miscalculated|misunderstood|misinterpreted)\b
  | \bmy[ ](?:previous[ ]|earlier[ ]|first[ ])?(?:mistake|error)\b
  | \blet(?:[ ]me|'s|[ ]us)[ ](?:try[ ]again|start[ ]over|redo|reconsider|rethink|correct[ ](?:this|that|it|myself))\b
  | \blet(?:[ ]me|'s|[ ]us)[ ]try[ ](?:another|a[ ]different)[ ](?:approach|way|method|idea)\b
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_PRAISE = re.compile(r"(?:this|that)(?:'s| is| was| seems) (?:clearly )?(?:right|correct)\b", re.IGNORECASE)
_NEGATED = re.compile(
    r"(?:this|that)(?:'s| is| was|)(?: not|n't) (?:clearly )?(?:wrong|incorrect|mistaken|a mistake)\b", re.IGNORECASE
)


def _said(text: str, question: str) -> tuple[str, str] | None:
    """The first words of a step that say that something was wrong, and what follows them in it."""
    asked = " ".join(question.lower().split())
    text = _SHOWN.sub("", text)
    for cue in _CUES.finditer(text):
        words = " ".join(cue[0].split()).lstrip("#\"'(* ")
        if _PRAISE.search(words) or _NEGATED.search(words):
            continue
        rest = re.split(r"[.!?\n]", text[cue.end() :], maxsplit=1)[0]
        sentence = " ".join((cue[0] + rest).lower().split()).lstrip("#\"'(* ")
        if sentence in asked:
            continue
        return words, _MARKERS.sub(" ", text[cue.end() :])
    return None
