"""Which expert serves which category: a mixed-integer program, solved with HiGHS.

With x_ce = 1 where expert e serves category c, and y_m = 1 where engine m is hosted:

    maximise    Σ_c p_c Σ_e w_ce x_ce
    subject to  Σ_e x_ce = 1                           every category has one expert
                x_ce ≤ y_m(e)                          which runs on a hosted engine
                Σ_m memory_m y_m ≤ hosting_gb          if there is such a budget
                Σ_c p_c Σ_e cost_ce x_ce ≤ mean_cost   if there is such a budget

p_c is how frequent the category is, w_ce how good the expert is at it.  Source: Composition of
Experts (arXiv 2412.01868), whose program bounds parameters; the mean cost is our addition, and
memory is counted by engine, because adapters share their base's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigurationError

SCALE = 1e3
"""HiGHS allows 1e-6 of slack, whatever a row's unit: budgets are scaled to 1e3, so that what is
over by more than a billionth is refused, and so is the objective."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What is to be mapped.

    ``value`` and ``cost``: (c, e), costs infinite where unknown; ``share``: (c), sums to 1;
    ``engine``: (e) each expert's, by number; ``memory_gb``: (m) by engine, infinite where unknown.
    """

    value: Matrix
    share: Matrix
    cost: Matrix
    engine: NDArray[np.intp]
    memory_gb: Matrix

    def mean(self, amount: Matrix, serving: NDArray[np.intp]) -> float:
        """Σ_c p_c amount_c,serving(c): what a prompt takes on average."""
        return float(self.share @ amount[np.arange(len(serving)), serving])


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """``serving``: (c) the expert of each category; ``hosted``: (e) who is held ready."""

    serving: NDArray[np.intp]
    hosted: NDArray[np.bool_]


def assign(
    program: Program, *, hosting_gb: float | None = None, mean_cost: float | None = None
) -> Assignment:
    """The best mapping within the budgets; ConfigurationError where there is none.

    Memory that the mapping leaves over hosts the next best experts.  Equal values go to the expert
    that comes first, unless a mean cost decides.
    """
    everyone = np.ones(len(program.engine), dtype=np.bool_)
    if hosting_gb is None and mean_cost is None:
        return Assignment(program.value.argmax(axis=1), everyone)
    serving = _solve(program, program.value, hosting_gb, mean_cost)
    if serving is None:
        raise _infeasible(program, hosting_gb, mean_cost)
    hosted = everyone if hosting_gb is None else _filled(program, serving, hosting_gb)
    if mean_cost is None:
        serving = np.where(hosted, program.value, -np.inf).argmax(axis=1)
    return Assignment(serving, hosted)


def _solve(
    program: Program, value: Matrix, hosting_gb: float | None, mean_cost: float | None
) -> NDArray[np.intp] | None:
    """(c) who serves each category so that Σ p w is highest; None where no mapping is allowed.

    Under a budget, what has no known size or cost serves nobody.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack, kron

    (c, e), m = value.shape, len(program.memory_gb)
    runs_on = csr_array((np.ones(e), (np.arange(e), program.engine)), shape=(e, m))
    rows = [
        LinearConstraint(hstack([kron(eye_array(c), np.ones((1, e))), csr_array((c, m))]), 1, 1),
        LinearConstraint(hstack([eye_array(c * e), -kron(np.ones((c, 1)), runs_on)]), -np.inf, 0),
    ]
    known = np.ones(c * e + m)
    if hosting_gb is not None:
        known[c * e :] = np.isfinite(program.memory_gb)
        row = _row(_finite(program.memory_gb), hosting_gb)
        rows.append(LinearConstraint(hstack([csr_array((1, c * e)), row]), -np.inf, SCALE))
    if mean_cost is not None:
        known[: c * e] = np.isfinite(program.cost).ravel()
        row = _row((program.share[:, None] * _finite(program.cost)).ravel(), mean_cost)
        rows.append(LinearConstraint(hstack([row, csr_array((1, m))]), -np.inf, SCALE))
    gain = (program.share[:, None] * _finite(value)).ravel() * SCALE
    found = milp(
        np.concatenate([-gain, np.zeros(m)]),
        integrality=np.ones(c * e + m),
        bounds=Bounds(0, known),
        constraints=rows,
        options={"mip_rel_gap": 0},
    )
    if found.x is None:
        return None
    return np.asarray(found.x[: c * e].reshape(c, e).argmax(axis=1))


def _row(amount: Matrix, budget: float) -> Matrix:
    """(1, n) ``amount`` in units of which the budget is ``SCALE``; twice that is enough of more."""
    if budget > 0:
        return np.asarray(np.minimum(amount / budget, 2.0)[None] * SCALE)
    return np.where(amount > budget, 2 * SCALE, 0.0)[None]


def _finite(amount: Matrix) -> Matrix:
    """``amount``, and 0 where it is not known: the bounds of the variables see to the rest."""
    return np.where(np.isfinite(amount), amount, 0.0)


def _filled(program: Program, serving: NDArray[np.intp], hosting_gb: float) -> NDArray[np.bool_]:
    """(e) who is hosted: the serving engines, then the next best that still fit."""
    engines = set(program.engine[serving].tolist())
    left = hosting_gb - float(program.memory_gb[sorted(engines)].sum())
    for expert in np.argsort(-(program.share @ program.value), kind="stable"):
        engine = int(program.engine[expert])
        if engine not in engines and program.memory_gb[engine] <= left:
            engines.add(engine)
            left -= float(program.memory_gb[engine])
    return np.isin(program.engine, sorted(engines))


def _infeasible(
    program: Program, hosting_gb: float | None, mean_cost: float | None
) -> ConfigurationError:
    """Which budget is too small, and how large it would have to be."""
    if hosting_gb is not None and not (program.memory_gb <= hosting_gb).any():
        return ConfigurationError(
            f"hosting_gb is {hosting_gb:g}, but no expert fits: "
            + _advice("hosting_gb", float(program.memory_gb.min()), "total_params_b")
        )
    cheapest = _solve(program, -program.cost, hosting_gb, math.inf)
    least = math.inf if cheapest is None else program.mean(program.cost, cheapest)
    within = "" if hosting_gb is None else f" that fits into {hosting_gb:g} GB"
    return ConfigurationError(
        f"mean_cost is {mean_cost or 0:g}, but the cheapest mapping{within} costs {least:g}: "
        + _advice("mean_cost", least, "active_params_b, or prices")
    )


def _advice(name: str, least: float, source: str) -> str:
    if math.isinf(least):
        return f"none of them says how much it takes; give the experts {source}"
    return f"the smallest {name} that can be met is {least:g}"
