from dataclasses import dataclass
from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from ponderosa.training.packing import Packed, pack
from ponderosa.training.rows import split
from ponderosa.training.tries import text_places


@dataclass(frozen=True)
class Texts:
    """Some texts of a problem."""

    problem_id: str
    texts: tuple[list[int], ...] = ()
    number: int = 0


def text(row: Packed[Texts], end: int) -> list[int]:
    return [row.tokens[place] for place in text_places(row.parents, end)]


@given(
    members=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=3),
        ),
        max_size=12,
    ),
    limit=st.integers(1, 30),
)
def test_packed_texts_are_the_texts_by_problem_within_the_limit(
    members: list[tuple[str, list[list[int]]]], limit: int
) -> None:
    given_texts = [Texts(problem, tuple(texts), i) for i, (problem, texts) in enumerate(members)]
    rows = pack(given_texts, limit)
    found = {
        member.number: tuple(text(row, end) for end in ends)
        for row in rows
        for member, ends in zip(row.members, row.ends, strict=True)
    }
    assert found == {member.number: member.texts for member in given_texts}
    for row in rows:
        assert len(row.tokens) <= limit or len(row.members) == 1
        assert len({member.problem_id for member in row.members}) == 1


MEMBERS = st.lists(st.integers(0, 9).map(lambda i: Texts(str(i))), min_size=1, max_size=60)


@given(members=MEMBERS, share=st.floats(0, 0.9))
def test_whole_problems_are_held_out_and_at_least_the_share(members: list[Texts], share: float) -> None:
    train, held_out = split(members, share, attrgetter("problem_id"))
    trained, tested = {m.problem_id for m in train}, {m.problem_id for m in held_out}
    assert len(train) + len(held_out) == len(members)
    assert trained.isdisjoint(tested)
    assert train
    assert len(held_out) >= share * len(members) or len(trained) == 1


@given(members=MEMBERS, share=st.floats(0, 0.9))
def test_more_of_the_same_problems_changes_no_problems_place_in_the_queue(members: list[Texts], share: float) -> None:
    _, held_out = split(members, share, attrgetter("problem_id"))
    _, again = split(members * 2, share, attrgetter("problem_id"))
    assert {m.problem_id for m in again} == {m.problem_id for m in held_out}
