"""Held-out loss as a function of parameters N and training tokens D, in the forms of Kaplan and of Chinchilla.

Both are fitted as Chinchilla's third approach is: the sum of the Huber losses of the differences of log losses, so that
a run that went wrong weighs little. That estimate was published unconverged and with intervals that were far too narrow
(Besiroglu et al., arXiv 2404.10102), so here

* beyond which difference a run weighs little follows from the spread of the differences: the published 1e-3 is far
  within what saplings vary by, and would make a median of it, whose intervals are wide and hard to get right;
* the fit is a least-squares problem with exact gradients, on centred logarithms, solved to machine precision;
* given the exponents both forms are linear in what is left, so that a search over all exponents finds the starts
  (variable projection; arXiv 2603.22339 finds it stable where L-BFGS is not);
* intervals come from refits to resampled residuals; what the data do not determine is said to be so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ponderosa.core import PonderosaError
from ponderosa.evaluation.scaling.measurements import Model
from ponderosa.evaluation.scaling.quantities import RESAMPLES, Quantity, positive, quantities

Vector = npt.NDArray[np.float64]

HUBER = 1e-3
"""Of log loss: beyond it a difference weighs linearly (Hoffmann et al., arXiv 2203.15556, appendix D.2). The least that
is taken: see `_huber`.
"""
STEEPEST = 4.0
"""The largest exponent that is searched."""
_EXPONENTS = (0.03, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.3, 1.7)
_STARTS = 4
_MISFIT = 0.1
"""A form from which half of the log losses are further does not hold. The median, as some trainings go wrong."""


class LossLaw(Protocol):
    """A form of the loss. `theta` are its parameters as they are fitted, of centred logarithms of N and D."""

    @property
    def name(self) -> str: ...

    @property
    def formula(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def least(self) -> int:
        """Different N, and different D, without which it is not determined."""
        ...

    def counts(self, model: Model) -> float:
        """The N of a model as this form counts it."""
        ...

    def log_loss(self, theta: Vector, n: Vector, d: Vector) -> tuple[Vector, Vector]:
        """Log loss at log N and log D, and its derivatives by theta, (points, len(theta))."""
        ...

    def bounds(self, losses: Vector) -> tuple[list[float], list[float]]:
        """The least and largest theta that are searched."""
        ...

    def start(self, exponents: tuple[float, float], n: Vector, d: Vector, losses: Vector) -> Vector:
        """The best theta of these exponents, about."""
        ...

    def named(self, theta: Vector, centre: tuple[float, float]) -> dict[str, float]:
        """The parameters by the names of the formula, and the exponents a and b of the compute-optimal N and D."""
        ...

    def optimal_log_n(self, named: dict[str, float], log_flops: Vector) -> Vector:
        """log N of the least loss at so many FLOPs, C = 6 N D."""
        ...


@dataclass(frozen=True)
class Chinchilla:
    """L = E + A / N^alpha + B / D^beta. N counts all parameters."""

    name: str = "chinchilla"
    formula: str = "L = E + A/N^alpha + B/D^beta"
    source: str = "Hoffmann et al., arXiv 2203.15556, equation 2"
    least: int = 3

    def counts(self, model: Model) -> float:
        return model.parameters

    def log_loss(self, theta: Vector, n: Vector, d: Vector) -> tuple[Vector, Vector]:
        e, a, b, alpha, beta = theta
        terms = np.stack([np.full_like(n, e), a - alpha * n, b - beta * d])
        total, share = _log_sum(terms)
        return total, np.stack([*share, -share[1] * n, -share[2] * d], axis=1)

    def bounds(self, losses: Vector) -> tuple[list[float], list[float]]:
        least = float(np.log(losses.min()))
        return [least - 8, least - 16, least - 16, 0.0, 0.0], [least, least + 8, least + 8, STEEPEST, STEEPEST]

    def start(self, exponents: tuple[float, float], n: Vector, d: Vector, losses: Vector) -> Vector:
        alpha, beta = exponents
        scales = _scales(np.stack([np.ones_like(n), np.exp(-alpha * n), np.exp(-beta * d)], axis=1), losses, losses)
        return np.array([*np.log(scales), alpha, beta])

    def named(self, theta: Vector, centre: tuple[float, float]) -> dict[str, float]:
        e, a, b, alpha, beta = map(float, theta)
        total = alpha + beta
        return {
            "E": float(np.exp(e)),
            "A": float(np.exp(a + alpha * centre[0])),
            "B": float(np.exp(b + beta * centre[1])),
            "alpha": alpha,
            "beta": beta,
            "a": beta / total if total else float("nan"),
            "b": alpha / total if total else float("nan"),
        }

    def optimal_log_n(self, named: dict[str, float], log_flops: Vector) -> Vector:
        # Equation 4: N = G (C/6)^a with G = (alpha A / (beta B))^(1 / (alpha + beta)).
        alpha, beta = named["alpha"], named["beta"]
        ratio = np.log(alpha * named["A"]) - np.log(beta * named["B"])
        return np.asarray((ratio + beta * (log_flops - np.log(6))) / (alpha + beta), float)


@dataclass(frozen=True)
class Kaplan:
    """L = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D. N leaves the embeddings out; the loss has no floor.

    theta is (p, q, r, alpha_D) with L = (exp(p - r log N) + exp(q) / D)^alpha_D, so r = alpha_N / alpha_D.
    """

    name: str = "kaplan"
    formula: str = "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D"
    source: str = "Kaplan et al., arXiv 2001.08361, equation 1.5"
    least: int = 2

    def counts(self, model: Model) -> float:
        return model.non_embedding

    def log_loss(self, theta: Vector, n: Vector, d: Vector) -> tuple[Vector, Vector]:
        p, q, r, power = theta
        total, share = _log_sum(np.stack([p - r * n, q - d]))
        slopes = [power * share[0], power * share[1], -power * share[0] * n, total]
        return power * total, np.stack(slopes, axis=1)

    def bounds(self, losses: Vector) -> tuple[list[float], list[float]]:
        return [-400.0, -400.0, 1e-3, 5e-3], [400.0, 400.0, 2 * STEEPEST, STEEPEST]

    def start(self, exponents: tuple[float, float], n: Vector, d: Vector, losses: Vector) -> Vector:
        alpha_n, alpha_d = exponents
        ratio = alpha_n / alpha_d
        target = losses ** (1 / alpha_d)
        design = np.stack([np.exp(-ratio * n), np.exp(-d)], axis=1)
        p, q = np.log(_scales(design, target, target))
        return np.array([p, q, ratio, alpha_d])

    def named(self, theta: Vector, centre: tuple[float, float]) -> dict[str, float]:
        p, q, r, power = map(float, theta)
        return {
            "N_c": float(np.exp(np.clip(p / r + centre[0], -700, 700))),
            "D_c": float(np.exp(np.clip(q + centre[1], -700, 700))),
            "alpha_N": r * power,
            "alpha_D": power,
            "a": 1 / (1 + r),
            "b": r / (1 + r),
        }

    def optimal_log_n(self, named: dict[str, float], log_flops: Vector) -> Vector:
        # Where the derivative of (N_c/N)^r + 6 D_c N / C by N is 0.
        r = named["alpha_N"] / named["alpha_D"]
        logs = np.log(r) + r * np.log(named["N_c"]) - np.log(6 * named["D_c"]) + log_flops
        return np.asarray(logs / (1 + r), float)


LAWS: dict[str, LossLaw] = {"chinchilla": Chinchilla(), "kaplan": Kaplan()}


@dataclass(frozen=True)
class LossFit:
    """A form that was fitted to models. `quantities` are by the names of its formula, `rms` is of the differences of
    log loss, `refits` have the `named` parameters of each. `doubt` says why nothing is determined; often empty.
    """

    law: LossLaw
    theta: Vector
    centre: tuple[float, float]
    models: tuple[Model, ...]
    quantities: dict[str, Quantity]
    rms: float
    refits: tuple[Vector, ...]
    doubt: str = ""

    @property
    def named(self) -> dict[str, float]:
        return self.law.named(self.theta, self.centre)

    @property
    def residuals(self) -> Vector:
        """Log loss as measured less as fitted, by model."""
        fitted, _ = self.law.log_loss(self.theta, *self._logs())
        return np.asarray(np.log(losses_of(self.models)) - fitted, float)

    def redrawn(self, count: int, rng: np.random.Generator) -> list[Vector]:
        """So many times the fitted losses of the models with what is left to chance drawn anew; none where in doubt."""
        if self.doubt:
            return []
        fitted = np.log(losses_of(self.models)) - self.residuals
        return _redrawn(fitted, self.residuals, len(self.theta), count, rng)

    def loss(self, n: Vector, d: Vector) -> Vector:
        """The loss at N, as this form counts it, and D."""
        logs = np.log(n) - self.centre[0], np.log(d) - self.centre[1]
        return np.asarray(np.exp(self.law.log_loss(self.theta, *logs)[0]), float)

    def _logs(self) -> tuple[Vector, Vector]:
        counted = np.log([self.law.counts(model) for model in self.models]) - self.centre[0]
        return counted, np.log([model.tokens for model in self.models]) - self.centre[1]

    def to_json(self) -> dict[str, Any]:
        return {
            "formula": self.law.formula,
            "source": self.law.source,
            "models": len(self.models),
            "rms_log_loss": self.rms,
            "quantities": {name: found.to_json() for name, found in self.quantities.items()},
            "doubt": self.doubt,
        }


def fit_loss(law: LossLaw, models: Sequence[Model], *, seed: int = 0, resamples: int = RESAMPLES) -> LossFit:
    """Fits a form to models with a loss.

    Intervals are of refits to the fitted losses with residuals drawn anew: the grid of N and D was chosen, and what
    varies is how a training turned out. The residuals are widened for the parameters that they were left over from, and
    for being few (`_redrawn`).
    Raises `PonderosaError` for fewer than 2 models.
    """
    if len(models) < 2:
        raise PonderosaError(f"{len(models)} models with a loss: a law of the loss needs several sizes and tokens")
    counted = np.log([law.counts(model) for model in models])
    tokens = np.log([model.tokens for model in models])
    losses = losses_of(models)
    centre = float(counted.mean()), float(tokens.mean())
    n, d = counted - centre[0], tokens - centre[1]
    solve = partial(_solve, law, n, d)
    theta = min((solve(losses, start) for start in _starts(law, n, d, losses)), key=lambda found: found[1])[0]
    huber = _huber(np.log(losses) - law.log_loss(theta, n, d)[0], len(theta))
    theta, _ = solve(losses, theta, huber)
    fitted, _ = law.log_loss(theta, n, d)
    residuals = np.log(losses) - fitted
    doubt = _doubt(law, models, len(theta), residuals)
    refits: list[Vector] = []
    if not doubt:
        rng = np.random.default_rng(seed)
        for drawn in _redrawn(fitted, residuals, len(theta), resamples, rng):
            refits.append(solve(drawn, theta, huber, tolerance=1e-7)[0])
    exponent = partial(positive, ceiling=0.99 * STEEPEST)
    kinds: dict[str, Callable[[float, Sequence[float], str], Quantity]]
    kinds = {"alpha": exponent, "beta": exponent, "alpha_N": exponent, "alpha_D": exponent}
    kinds |= {"E": positive, "A": positive, "B": positive, "N_c": positive, "D_c": positive}
    found = quantities(law.named(theta, centre), [law.named(refit, centre) for refit in refits], kinds, doubt)
    rms = float(np.sqrt((residuals**2).mean()))
    return LossFit(law, theta, centre, tuple(models), found, rms, tuple(refits), doubt)


def losses_of(models: Sequence[Model]) -> Vector:
    """The losses of models that have one."""
    return np.array([model.loss for model in models], float)


def _huber(residuals: Vector, parameters: int) -> float:
    """The difference beyond which a run weighs linearly: 1.345 robust standard deviations, at which 95 % of the
    efficiency of least squares is kept where the differences are normal (Huber 1981, chapter 4).
    """
    if len(residuals) <= parameters:
        return HUBER
    # The smallest differences are those that the parameters took up.
    spread = 1.4826 * float(np.median(np.sort(np.abs(residuals))[parameters:]))
    return max(HUBER, 1.345 * spread)


def _redrawn(fitted: Vector, residuals: Vector, parameters: int, count: int, rng: np.random.Generator) -> list[Vector]:
    """So many times the losses of which `fitted` are the logarithms, with residuals drawn anew.

    These are widened for the parameters that they were left over from, and by how much further Student's 97.5 %
    quantile is than the normal one: a small grid's residuals are themselves uncertain. In 60 simulated grids of 4 x 4
    with 0.5 % of noise, the intervals of the exponents and scales held the truth in 88 to 95 % (docs/scaling.md).
    """
    from scipy.special import ndtri, stdtrit

    free = len(residuals) - parameters
    few = float(stdtrit(free, 0.975) / ndtri(0.975))
    noise = (residuals - residuals.mean()) * np.sqrt(len(residuals) / free) * few
    return [np.exp(fitted + rng.choice(noise, len(residuals))) for _ in range(count)]


def _doubt(law: LossLaw, models: Sequence[Model], parameters: int, residuals: Vector) -> str:
    """Why this form is not determined by these models; empty if it may be."""
    if len(models) <= parameters + 1:
        return f"{len(models)} models for {parameters} parameters"
    sizes, tokens = len({law.counts(model) for model in models}), len({model.tokens for model in models})
    if min(sizes, tokens) < law.least:
        return f"{sizes} sizes and {tokens} numbers of tokens: it takes {law.least} of each"
    middle = float(np.median(np.abs(residuals)))
    if middle > _MISFIT:
        return f"the form does not hold: half of the losses are off by more than {100 * middle:.0f} %"
    return ""


def _starts(law: LossLaw, n: Vector, d: Vector, losses: Vector) -> list[Vector]:
    """The best few of all exponents, the rest being solved for."""
    tried = [law.start(exponents, n, d, losses) for exponents in product(_EXPONENTS, _EXPONENTS)]
    wrong = [float(np.abs(law.log_loss(theta, n, d)[0] - np.log(losses)).sum()) for theta in tried]
    return [tried[i] for i in np.argsort(wrong)[:_STARTS]]


def _solve(
    law: LossLaw, n: Vector, d: Vector, losses: Vector, start: Vector, huber: float = HUBER, tolerance: float = 1e-12
) -> tuple[Vector, float]:
    """The theta of the least sum of Huber losses, and that."""
    from scipy.optimize import least_squares

    target = np.log(losses)
    low, high = (np.array(bound) for bound in law.bounds(losses))
    margin = 1e-6 * (high - low)
    found = least_squares(
        lambda theta: law.log_loss(theta, n, d)[0] - target,
        np.clip(start, low + margin, high - margin),
        jac=lambda theta: law.log_loss(theta, n, d)[1],
        bounds=(low, high),
        loss="huber",
        f_scale=huber,
        x_scale="jac",
        xtol=tolerance,
        ftol=tolerance,
        gtol=tolerance,
        max_nfev=300,
    )
    return np.asarray(found.x, float), float(found.cost)


def _scales(design: Vector, target: Vector, weight: Vector) -> Vector:
    """What the columns of the design are worth, none of them below 0 (nor at it: logarithms are taken)."""
    from scipy.optimize import nnls

    scales, _ = nnls(design / weight[:, None], target / weight)
    return np.asarray(np.maximum(scales, 1e-6 * target.min() / design.max(axis=0)), float)


def _log_sum(terms: Vector) -> tuple[Vector, Vector]:
    """The logarithm of the sum of exponentials over the first axis, and each one's share of it."""
    top = terms.max(axis=0)
    parts = np.exp(terms - top)
    total = parts.sum(axis=0)
    return np.asarray(top + np.log(total), float), np.asarray(parts / total, float)
