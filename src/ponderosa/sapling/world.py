"""The world of word problems: what a problem is made of, and how one is drawn from a split.

A problem has sentences that each define an entity's quantity from earlier entities and numbers (a *relation*), perhaps
sentences that say nothing of use (a *no-op*), and one *question*. Its level is the number of relations that use an
earlier entity and are needed for the answer; sentences that use none (*sources*) come on top.

A *combination* is a relation kind with the kind of relation or question that uses its value. A fixed share of the
combinations is held out: a test problem contains at least one of them, any other problem none.
"""

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache

from ponderosa.core.problem import Problem
from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.arithmetic import ExpressionError, formula
from ponderosa.sapling.kinds import LARGEST_VALUE, SLOTS, Kind
from ponderosa.sapling.questions import QUESTIONS
from ponderosa.sapling.relations import DERIVED, RELATIONS
from ponderosa.sapling.sources import SOURCES
from ponderosa.sapling.vocabulary import NAMES, NO_OPS, OBJECTS

LEVELS = (1, 2, 3, 4, 5)
SPLITS = ("corpus", "train", "dev", "test")
ANSWER = "answer"
"""The variable that the question's step defines."""

_RESIDUES: dict[str, tuple[int, ...]] = {"corpus": (0, 1, 2, 3), "train": (4, 5), "dev": (6,), "test": (7,)}
_HELD_OUT_PERCENT = 12
_DISTRACTOR = 0.2
_NO_OP = 0.3

KINDS: dict[str, Kind] = RELATIONS | QUESTIONS | NO_OPS


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a question: an instance of a kind.

    `entity` is the variable it defines (a no-op: the one it is about, or none; a question: `answer`), `uses` the
    variables of the slots a, b, c, `numbers` those of k, m, n, `value` what the right way gives.
    """

    text: str
    kind: str
    phrasing: int
    entity: str
    uses: tuple[str, ...]
    numbers: tuple[int, ...]
    value: int

    @property
    def is_no_op(self) -> bool:
        return self.kind in NO_OPS

    @property
    def cell(self) -> tuple[str, int]:
        """What decides how often the corpus gets it wrong: kind and phrasing, never the problem."""
        return self.kind, self.phrasing

    def code(self, way: str) -> str:
        """A formula over slots as an expression over this sentence's variables and numbers."""
        values = dict(zip("abc", self.uses, strict=False)) | dict(zip("kmn", map(str, self.numbers), strict=False))
        return _SLOT.sub(lambda match: values[match[0]], way)

    def evaluate(self, way: str, values: Mapping[str, int]) -> int:
        """A formula's value where the entities have `values`. Raises `ExpressionError`."""
        env = dict(zip("abc", [values[name] for name in self.uses], strict=False))
        return formula(way)(env | dict(zip("kmn", self.numbers, strict=False)))


_SLOT = re.compile(rf"\b[{''.join(SLOTS)}]\b")


@cache
def is_held_out(used: str, user: str) -> bool:
    """Whether the combination of a relation kind and the kind that uses it is kept for the test split."""
    digest = hashlib.sha256(f"{used}>{user}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < _HELD_OUT_PERCENT


def belongs(question: str, split: str) -> bool:
    """Whether a question's text may appear in a split: a hash of the text shares all texts out among the splits."""
    return hashlib.sha256(question.encode()).digest()[0] % 8 in _RESIDUES[split]


def word_problem(split: str, seed: int, index: int, level: int) -> Problem:
    """The word problem of this place: a pure function of its arguments. `meta` holds the level and the sentences."""
    if split not in SPLITS or level not in LEVELS:
        raise ValueError(f"no split {split!r} at level {level}: splits are {SPLITS}, levels {LEVELS}")
    rng = random.Random(derive_seed("sapling", split, seed, index, level))
    while True:
        written = _Writer(rng, level, split).write()
        if written is None:
            continue
        question = " ".join(s.text for s in written)
        if belongs(question, split):
            meta = {
                "world": "sapling",
                "language": "en",
                "level": level,
                "kinds": [s.kind for s in written],
                "combinations": [list(pair) for pair in combinations(written)],
                "sentences": [asdict(s) for s in written],
            }
            return Problem(f"sapling:{split}:{seed}:{index}:{level}", question, str(written[-1].value), meta)


def sentences(problem: Problem) -> list[Sentence]:
    """The sentences of a word problem, the question last."""
    return [
        Sentence(**{**s, "uses": tuple(s["uses"]), "numbers": tuple(s["numbers"])}) for s in problem.meta["sentences"]
    ]


def facts(problem: Problem) -> dict[str, int]:
    """The true value of every variable of a problem, in reading order, `answer` last."""
    if "sentences" not in problem.meta:
        return {ANSWER: formula(problem.meta["ways"][0])({})}
    return {s.entity: s.value for s in sentences(problem) if not s.is_no_op}


def combinations(written: Sequence[Sentence]) -> list[tuple[str, str]]:
    """Which relation kind's value is used by which kind, through the whole problem."""
    kind_of = {s.entity: s.kind for s in written if s.kind in RELATIONS}
    return [(kind_of[name], s.kind) for s in written if not s.is_no_op for name in s.uses]


class _Writer:
    """Writes one problem; `write` gives None where the draws lead nowhere and the caller should try again."""

    def __init__(self, rng: random.Random, level: int, split: str):
        self.rng, self.level, self.split = rng, level, split
        self.names = iter(rng.sample(NAMES, len(NAMES)))
        self.things = rng.choice(OBJECTS)
        self.written: list[Sentence] = []
        self.last = ""

    def write(self) -> list[Sentence] | None:
        self._add_source(0)
        self.last = self.written[0].entity
        for _ in range(self.level):
            if not self._add(DERIVED):
                return None
            self.last = self.written[-1].entity
        if not self._add(tuple(QUESTIONS.values())):
            return None
        if (self.split == "test") != any(is_held_out(*pair) for pair in combinations(self.written)):
            return None
        if not self._wrong_ways_show():
            return None
        self._add_noise()
        return self.written

    def _by_name(self) -> dict[str, Sentence]:
        return {s.entity: s for s in self.written}

    def _add_source(self, position: int) -> str:
        kind = self.rng.choices(SOURCES, [k.weight for k in SOURCES])[0]
        sentence = self._instance(kind, next(self.names), ())
        assert sentence is not None  # sources always have numbers that fit
        self.written.insert(position, sentence)
        return sentence.entity

    def _add(self, kinds: Sequence[Kind]) -> bool:
        """Adds a sentence that uses the newest entity of the chain, of a kind whose numbers fit and that is allowed."""
        by_name = self._by_name()
        for _ in range(20):
            kind = self.rng.choices(kinds, [k.weight for k in kinds])[0]
            others = [name for name in by_name if name != self.last]
            if kind.arity > 1 + len(others):
                if self.rng.random() < 0.5:
                    continue
                while kind.arity > 1 + len(others):
                    others.append(self._add_source(self.rng.randrange(len(self.written) + 1)))
                by_name = self._by_name()
            uses = [self.last, *self.rng.sample(others, kind.arity - 1)]
            self.rng.shuffle(uses)
            if self.split != "test" and any(is_held_out(by_name[name].kind, kind.name) for name in uses):
                continue
            entity = ANSWER if kind.name in QUESTIONS else next(self.names)
            sentence = self._instance(kind, entity, tuple(by_name[name] for name in uses))
            if sentence is not None:
                self.written.append(sentence)
                return True
        return False

    def _instance(self, kind: Kind, entity: str, uses: tuple[Sentence, ...]) -> Sentence | None:
        """A sentence of the kind; None if no numbers fit, a value is too large or a wrong way gives the right one."""
        values = [u.value for u in uses]
        drawn = kind.draw(self.rng, *[*values, 0, 0][:2])
        if drawn is None:
            return None
        phrasing = self.rng.randrange(len(kind.phrasings))
        names = dict(zip("abc", [u.entity.capitalize() for u in uses], strict=False))
        text = kind.phrasings[phrasing].format(
            e=entity.capitalize(), o=self.things, **names, **dict(zip("kmn", drawn, strict=False))
        )
        sentence = Sentence(text, kind.name, phrasing, entity.lower(), tuple(u.entity for u in uses), drawn, 0)
        env = {u.entity: u.value for u in uses}
        value = sentence.evaluate(kind.right, env)
        if not 1 <= value <= LARGEST_VALUE or any(sentence.evaluate(way, env) == value for way in kind.wrong):
            return None
        return replace(sentence, value=value)

    def _wrong_ways_show(self) -> bool:
        """Whether any single wrong way leads to a wrong answer, so that a right answer is hardly ever luck."""
        truth = {s.entity: s.value for s in self.written}
        for i, sentence in enumerate(self.written):
            for way in KINDS[sentence.kind].wrong:
                values = truth | {sentence.entity: sentence.evaluate(way, truth)}
                try:
                    for later in self.written[i + 1 :]:
                        values[later.entity] = later.evaluate(KINDS[later.kind].right, values)
                except ExpressionError:
                    continue
                if values[ANSWER] == truth[ANSWER]:
                    return False
        return True

    def _add_noise(self) -> None:
        """Adds what the answer does not need: a plain quantity that nothing uses, and a no-op."""
        if self.rng.random() < _DISTRACTOR:
            plain = self._instance(RELATIONS["given"], next(self.names), ())
            if plain is not None:
                self.written.insert(self.rng.randrange(len(self.written)), plain)
        if self.rng.random() < _NO_OP:
            kind = self.rng.choice(tuple(NO_OPS.values()))
            if kind.arity == 0:
                self._insert_no_op(kind, (), self.rng.randrange(len(self.written)))
                return
            used = {name for s in self.written for name in s.uses}
            about = self.rng.choice([s for s in self.written if s.entity in used])
            self._insert_no_op(kind, (about,), self.written.index(about) + 1)

    def _insert_no_op(self, kind: Kind, uses: tuple[Sentence, ...], position: int) -> None:
        sentence = self._instance(kind, uses[0].entity if uses else "", uses)
        if sentence is not None:
            self.written.insert(position, sentence)
