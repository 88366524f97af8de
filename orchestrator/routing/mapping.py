"""Which expert serves which category: a mixed-integer program, solved with HiGHS.

With x_ce = 1 where expert e serves category c, and y_m = 1 where engine m is hosted:

    maximise    Σ_c p_c Σ_e w_ce x_ce
    subject to  Σ_e x_ce = 1                        every category has one expert
                x_ce ≤ y_m(e)                       which runs on a hosted engine
                Σ_m memory_m y_m ≤ hosting_gb       if there is such a budget
                Σ_c p_c Σ_e cost_e x_ce ≤ mean_cost if there is such a budget

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


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What is to be mapped.

    ``value``: (c, e); ``share``: (c), sums to 1; ``cost``: (e), infinite where unknown;
    ``engine``: (e) each expert's, by number; ``memory_gb``: (m) by engine, infinite where unknown.
    """

    value: NDArray[np.float64]
    share: NDArray[np.float64]
    cost: NDArray[np.float64]
    engine: NDArray[np.intp]
    memory_gb: NDArray[np.float64]

    def affordable(self, hosting_gb: float | None, mean_cost: float | None) -> NDArray[np.bool_]:
        """(e) which experts are within both budgets, each taken alone."""
        fits = self.memory_gb[self.engine] <= (math.inf if hosting_gb is None else hosting_gb)
        cheap = self.cost <= (math.inf if mean_cost is None else mean_cost)
        return np.asarray(fits & cheap)


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
    _check(program, hosting_gb, mean_cost)
    everyone = np.ones(len(program.cost), dtype=np.bool_)
    if hosting_gb is None and mean_cost is None:
        return Assignment(program.value.argmax(axis=1), everyone)
    serving = _solve(program, hosting_gb, mean_cost)
    hosted = everyone if hosting_gb is None else _filled(program, serving, hosting_gb)
    if mean_cost is None:
        serving = np.where(hosted, program.value, -np.inf).argmax(axis=1)
    return Assignment(serving, hosted)


def _solve(program: Program, hosting_gb: float | None, mean_cost: float | None) -> NDArray[np.intp]:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack, kron

    (c, e), m = program.value.shape, len(program.memory_gb)
    # An expert beyond a budget on its own is in no mapping under the memory budget; under the mean
    # cost it may still serve a rare category.  What has no known size or cost never counts.
    memory, cost = _known(program.memory_gb, hosting_gb), _known(program.cost, mean_cost)
    runs_on = csr_array((np.ones(e), (np.arange(e), program.engine)), shape=(e, m))
    rows = [
        LinearConstraint(hstack([kron(eye_array(c), np.ones((1, e))), csr_array((c, m))]), 1, 1),
        LinearConstraint(hstack([eye_array(c * e), -kron(np.ones((c, 1)), runs_on)]), -np.inf, 0),
    ]
    if hosting_gb is not None:
        row = _row(memory, hosting_gb)
        rows.append(LinearConstraint(hstack([csr_array((1, c * e)), row]), -np.inf, SCALE))
    if mean_cost is not None:
        row = _row(np.kron(program.share, cost), mean_cost)
        rows.append(LinearConstraint(hstack([row, csr_array((1, m))]), -np.inf, SCALE))
    gain = (program.share[:, None] * program.value).ravel() * SCALE
    most = np.concatenate([np.tile(np.isfinite(cost), c), np.isfinite(memory)]).astype(float)
    found = milp(
        np.concatenate([-gain, np.zeros(m)]),
        integrality=np.ones(c * e + m),
        bounds=Bounds(0, most),
        constraints=rows,
        options={"mip_rel_gap": 0},
    )
    if found.x is None:
        raise RuntimeError(f"HiGHS found no mapping where there is one: {found.message}")
    return np.asarray(found.x[: c * e].reshape(c, e).argmax(axis=1))


def _known(amount: NDArray[np.float64], budget: float | None) -> NDArray[np.float64]:
    """``amount``, or nothing of it where it is not bounded."""
    return np.zeros_like(amount) if budget is None else amount


def _row(amount: NDArray[np.floating], budget: float) -> NDArray[np.float64]:
    """(1, n) ``amount`` in units of which the budget is ``SCALE``; twice that is enough of more."""
    scaled = np.minimum(amount / budget, 2.0) if budget > 0 else np.where(amount > 0, 2.0, 0.0)
    return np.asarray(scaled[None] * SCALE)


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


def _check(program: Program, hosting_gb: float | None, mean_cost: float | None) -> None:
    """A mapping exists exactly if one expert fits both budgets: it can serve every category."""
    if program.affordable(hosting_gb, mean_cost).any():
        return
    fits = program.affordable(hosting_gb, None)
    if not fits.any():
        least = program.memory_gb.min()
        raise ConfigurationError(
            f"hosting_gb is {hosting_gb:g}, but no expert fits: "
            + _advice("hosting_gb", least, "total_params_b")
        )
    least = program.cost[fits].min()
    within = "" if hosting_gb is None else f" among those that fit into {hosting_gb:g} GB"
    raise ConfigurationError(
        f"mean_cost is {mean_cost:g}, but the cheapest expert{within} costs {least:g}: "
        + _advice("mean_cost", least, "active_params_b, or prices")
    )


def _advice(name: str, least: float, source: str) -> str:
    if math.isinf(least):
        return f"none of them says how much it takes; give the experts {source}"
    return f"the smallest {name} that can be met is {least:g}"
