"""Reward models side by side: a table, and reliability diagrams."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ponderosa.view.figures import COLORS, SERIES, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]
"""What `compare_rewards` gives."""


def markdown(results: Results) -> str:
    """A row a model, with 95 % intervals; accuracies and their differences in percent and points."""
    models = results["models"]
    k = next(iter(models.values()))["choice"]["k"]
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "order of sibling steps, %": lambda m: _percent(m["pair_accuracy"]),
        "AUC of steps": lambda m: _share(m["auc"]),
        "AUC of ends": lambda m: _share((m["outcomes"] or {}).get("auc")),
        "ECE of ends": lambda m: _share((m["outcomes"] or {}).get("ece")),
        "ECE of steps": lambda m: _share((m["steps"] or {}).get("ece")),
        f"best of {k}, %": lambda m: _chosen(m["choice"]["best_of_n"]),
        "over majority, points": lambda m: _points(m["choice"]["best_of_n"]["over_majority"]),
        f"weighted vote of {k}, %": lambda m: _chosen(m["choice"]["weighted"]),
        "over majority, points ": lambda m: _points(m["choice"]["weighted"]["over_majority"]),
    }
    kept = {name: cell for name, cell in columns.items() if any(cell(model) for model in models.values())}
    lines = ["| | " + " | ".join(name.strip() for name in kept) + " |", "|---" * (len(kept) + 1) + "|"]
    for name, model in models.items():
        lines.append(f"| {name} | " + " | ".join(cell(model) for cell in kept.values()) + " |")
    choice = next(iter(models.values()))["choice"]
    lines += ["", f"Majority of {k}: {_percent(_rate(choice['majority']))} %; mean sample: "]
    lines[-1] += f"{_percent(_rate(choice['mean_sample']))} %; n = {choice['majority']['n']} problems."
    first, *others = models
    for rule, name in (("best_of_n", "best of N"), ("weighted", "weighted vote")):
        paired = results["paired"][rule]
        lines += [f"{name}, {other} over {first}: {_points(paired[other])} points." for other in others]
    return "\n".join(lines) + "\n"


def picture(results: Results) -> "Figure":
    """The reliability diagrams of all models' ends."""
    return diagram({name: model["outcomes"] for name, model in results["models"].items()})


def diagram(found: Mapping[str, Mapping[str, Any] | None]) -> "Figure":
    """Reliability diagrams by name: of the solutions that a model values at p, how many are right.

    The diagonal is perfect calibration; bars are 95 % intervals, and a point is as large as there are solutions.
    """
    figure, axes = new_axes("Solutions that are right, by what the reward model says", "% right")
    axes.plot([0, 100], [0, 100], "--", color=COLORS["muted"], linewidth=1, label="calibrated")
    for i, (name, one) in enumerate((name, one) for name, one in found.items() if one):
        _points_of(axes, name, one, SERIES[i % len(SERIES)])
    axes.set_xlabel("p by the model, %")
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)
    axes.legend(fontsize=7, frameon=False)
    return figure


def _points_of(axes: "Axes", name: str, found: Mapping[str, Any], color: str) -> None:
    bins = found["bins"]
    total = sum(one["n"] for one in bins)
    x = [100 * one["predicted"] for one in bins]
    y = [100 * one["observed"]["value"] for one in bins]
    low = [100 * (one["observed"]["value"] - one["observed"]["low"]) for one in bins]
    high = [100 * (one["observed"]["high"] - one["observed"]["value"]) for one in bins]
    label = f"{name}: ECE {found['ece']['value']:.3f}"
    axes.errorbar(x, y, (low, high), color=color, linewidth=1, capsize=2, label=label)
    axes.scatter(x, y, [6 + 90 * one["n"] / total for one in bins], color=color)


def _rate(accuracy: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": accuracy["accuracy"], "low": accuracy["low"], "high": accuracy["high"]}


def _chosen(accuracy: Mapping[str, Any]) -> str:
    return f"{_percent(_rate(accuracy))} ({accuracy['aggregation']})"


def _percent(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return ""
    return f"{100 * estimate['value']:.1f} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"


def _points(estimate: Mapping[str, Any]) -> str:
    return f"{100 * estimate['value']:+.1f} [{100 * estimate['low']:+.1f}, {100 * estimate['high']:+.1f}]"


def _share(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
