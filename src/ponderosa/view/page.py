"""The pieces of a page, as HTML: tables of rates, trajectories and trees. All text from outside is escaped."""

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from ponderosa.core import Tree
from ponderosa.view.rounds import Rate, counted
from ponderosa.view.trajectories import StepText, best_correct, mark, shown_children, statistics

Row = tuple[str, Sequence[Rate | None]]


def document(title: str, body: Iterable[str]) -> str:
    """A whole page, which refers to nothing outside itself."""
    style = files("ponderosa.view").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · Ponderosa</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, body))
        + "\n</main>\n</body>\n</html>\n"
    )


def write(path: Path, text: str) -> Path:
    """Writes a page whole or not at all; returns its path."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return path


def section(title: str, *blocks: str) -> str:
    """A section with what there is to show; empty if that is nothing."""
    shown = [block for block in blocks if block]
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(shown) + "\n</section>" if shown else ""


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def folded(title: str, text: str) -> str:
    """Text that unfolds."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def pictures(svgs: Iterable[str]) -> str:
    """Pictures, side by side where there is room."""
    shown = "".join(f"<figure>{svg}</figure>" for svg in svgs)
    return f'<div class="pictures">{shown}</div>' if shown else ""


def beside(*blocks: str) -> str:
    """Blocks side by side where there is room."""
    return f'<div class="beside">{"".join(f"<div>{block}</div>" for block in blocks)}</div>'


def rates_table(caption: str, rounds: Sequence[str], rows: Sequence[Row]) -> str:
    """A row for each measure and a column for each round, in percent; intervals and tokens below each."""
    known = [(name, rates) for name, rates in rows if any(rates)]
    if not known:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rounds)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}<small>{counted(rates)}</small></th>'
        + "".join(_rate(rate) for rate in rates)
        + "</tr>"
        for name, rates in known
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f'<thead><tr><th scope="col">Measure</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, the first of each row its name; empty without rows."""
    if not rows:
        return ""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def definitions(facts: Mapping[str, Any], prefix: str = "") -> str:
    """Names and values, those of nested mappings under joined names."""
    return f"<dl>{''.join(_definitions(facts, prefix))}</dl>" if facts else ""


def trajectory(tree: Tree, node: int, *, beside: int | None = None) -> str:
    """The steps to `node`; the first that the path to `beside` does not share is marked."""
    shared = set(tree.path(beside)) if beside is not None else set(tree.path(node))
    parted = False
    items = []
    for index in tree.path(node):
        step = tree.nodes[index]
        text = StepText.read(step.text)
        parts_here = index not in shared and not parted
        parted = parted or parts_here
        note = '<span class="wrong">Here it parts from the winning one.</span> ' if parts_here else ""
        output = f"<pre>→ {escape(text.output)}</pre>" if text.output is not None else ""
        items.append(
            f'<li{" class=parts" if parts_here else ""}>{note}<span class="stats">{statistics(step)}</span> '
            f"{_standing(tree, index)}<pre>{escape(text.body)}</pre>{output}</li>"
        )
    return f'<ol class="steps">{"".join(items)}</ol>'


def tree(shown: Tree, *, limit: int = 4) -> str:
    """A tree that unfolds, open along the path to its best right answer; each node shows `limit` children or so."""
    best = best_correct(shown)
    keep = set(shown.path(best)) if best is not None else set()
    return (
        f"<blockquote>{escape(shown.question)}</blockquote>"
        f'<div class="tree"><p class="muted">{escape(shown.id)} · {len(shown.nodes) - 1:,} steps · '
        f"{len(shown.rollouts):,} rollouts</p>{_branches(shown, 0, limit, keep)}</div>"
    )


def _branches(shown: Tree, node: int, limit: int, keep: set[int]) -> str:
    children, more = shown_children(shown, node, limit, keep)
    rows = [_branch(shown, child, limit, keep) for child in children]
    if more:
        rows.append(f'<div class="more">… {more} more</div>')
    return "".join(rows)


def _branch(shown: Tree, index: int, limit: int, keep: set[int]) -> str:
    step = shown.nodes[index]
    text = StepText.read(step.text)
    error = f'<pre class="failed">{escape(step.error)}</pre>' if step.error else ""
    output = f"<pre>→ {escape(text.output)}</pre>" if text.output is not None else ""
    state = ' class="best" open' if index in keep else ""
    return (
        f'<details{state}><summary><span class="stats">{statistics(step)}</span> {_standing(shown, index)} '
        f"<code>{escape(text.headline)}</code></summary><pre>{escape(text.body)}</pre>{output}{error}"
        f"{_branches(shown, index, limit, keep)}</details>"
    )


def _standing(shown: Tree, index: int) -> str:
    standing = mark(shown.nodes[index])
    return f'<span class="{standing.style}">{standing.symbol} {escape(standing.word)}</span>' if standing.word else ""


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return '<td class="muted">-</td>'
    tokens = f"{rate.tokens:,.0f} tokens" if rate.tokens is not None else ""
    details = "".join(f"<small>{detail}</small>" for detail in (rate.interval, tokens) if detail)
    return f"<td>{rate.percent}{details}</td>"


def _definitions(facts: Mapping[str, Any], prefix: str) -> Iterable[str]:
    for name, value in facts.items():
        full = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _definitions(value, f"{full} · ")
        elif value is not None:
            yield f"<dt>{escape(full)}</dt><dd><code>{escape(str(value))}</code></dd>"
