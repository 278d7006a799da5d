"""What searches cost, as a table: a row a search, and a tree's mean of everything that was counted."""

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    ("policy_calls", "requests"),
    ("prompt_tokens", "prompt tokens"),
    ("cached_tokens", "of them cached"),
    ("generated_tokens", "generated tokens"),
    ("discriminator_tokens", "of them a discriminator's"),
    ("reward_tokens", "reward tokens"),
    ("reward_cached_tokens", "of them cached"),
    ("unread_scores", "scores not read"),
    ("executions", "executions"),
    ("flops", "FLOPs computed"),
    ("wall_s", "seconds, waiting included"),
)
CAPTION = "What searches cost: means of a tree, as it was counted"
HEAD = ("search", "trees", "refused", *(title for _, title in COLUMNS))


def rows(searches: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The cells of each search, in the order of `HEAD`; what is not known is left empty."""
    return [
        [name, f"{record['trees']:,}", f"{record.get('refused', 0):,}", *(_mean(record, key) for key, _ in COLUMNS)]
        for name, record in searches.items()
        if record["trees"]
    ]


def markdown(searches: Mapping[str, Mapping[str, Any]]) -> str:
    """The table as Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *rows(searches)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _mean(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if value is None:
        return ""
    mean = value / record["trees"]
    if key == "flops":
        return f"{mean:.2e}"
    return f"{mean:,.1f}" if mean < 100 else f"{mean:,.0f}"
