"""Several rows in one sequence, so that less of what is computed is padding."""

from bisect import bisect_left, insort
from collections.abc import Sequence


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Puts rows of these lengths into sequences of at most `capacity`, each by its place in `lengths`.

    Best fit, longest first: a row goes where the least room stays. One that is longer than `capacity` stays alone.
    """
    bins: list[list[int]] = []
    room: list[tuple[int, int]] = []  # what is left, and of which sequence, sorted
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        place = bisect_left(room, (lengths[row], -1))
        if place < len(room):
            left, number = room.pop(place)
        else:
            left, number = max(capacity, lengths[row]), len(bins)
            bins.append([])
        bins[number].append(row)
        insort(room, (left - lengths[row], number))
    return bins
