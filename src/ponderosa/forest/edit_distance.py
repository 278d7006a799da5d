"""Levenshtein distance, as far as a threshold asks for it."""


def at_least(a: str, b: str, distance: int) -> bool:
    """Do `a` and `b` differ by at least `distance` insertions, deletions and substitutions of characters?

    Takes O(distance · length) at most: a path of fewer edits stays within that many diagonals of the straight one
    (Ukkonen 1985).
    """
    limit = distance - 1
    if limit < 0 or abs(len(a) - len(b)) > limit:
        return True
    # A shared beginning costs no edit.
    shared = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[shared:], b[shared:]
    previous = [min(j, distance) for j in range(len(b) + 1)]
    for i, x in enumerate(a, start=1):
        low, high = max(1, i - limit), min(len(b), i + limit)
        current = [distance] * (len(b) + 1)
        current[0] = min(i, distance)
        for j in range(low, high + 1):
            current[j] = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x != b[j - 1]))
        if min(current[low - 1 : high + 1]) >= distance:
            return True
        previous = current
    return previous[-1] >= distance
