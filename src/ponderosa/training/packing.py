"""Texts of a problem as rows of tries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ponderosa.training.tries import Trie


class Member(Protocol):
    """What a row holds whole: texts of one problem, as tokens."""

    @property
    def problem_id(self) -> str: ...

    @property
    def texts(self) -> Sequence[Sequence[int]]: ...


M = TypeVar("M", bound=Member)


@dataclass(frozen=True, slots=True)
class Packed(Generic[M]):
    """Members of one problem as a trie of `tokens` and `parents`. `ends[i]` are the last places of member i's texts."""

    tokens: list[int]
    parents: list[int]
    members: list[M]
    ends: list[tuple[int, ...]]


def pack(members: Sequence[M], limit: int) -> list[Packed[M]]:
    """The members by problem, each problem's in one row or, beyond `limit` tokens a row, in several.

    A single member gets a row whatever its length.
    """
    by_problem: dict[str, list[M]] = {}
    for member in members:
        by_problem.setdefault(member.problem_id, []).append(member)
    rows: list[Packed[M]] = []
    for mine in by_problem.values():
        trie = Trie()
        row: Packed[M] | None = None
        for member in mine:
            if row is None or len(trie) + sum(map(trie.lacks, member.texts)) > limit:
                trie = Trie()
                row = Packed(trie.tokens, trie.parents, [], [])
                rows.append(row)
            row.members.append(member)
            row.ends.append(tuple(map(trie.add, member.texts)))
    return rows
