from __future__ import annotations

import pytest

from aggregator.fusion.modes import (
    Contrast,
    Dynamic,
    EmulatedFineTuning,
    LogLinear,
    Mode,
    Static,
    check_parts,
    mode_of,
)
from coterie.errors import ConfigurationError


@pytest.mark.parametrize(
    "mode",
    [
        Dynamic(),
        Dynamic(solver="joint", high=1.5, step=0.25),
        Dynamic(solver="leading"),
        Static(),
        Static((0.5, 1.5)),
        EmulatedFineTuning(),
        Contrast(beta=0.25, a=0.0),
        LogLinear((0.2, 0.3, 0.5)),
    ],
)
def test_a_mode_is_read_as_it_was_written(mode: Mode) -> None:
    assert mode_of(mode.as_dict()) == mode


def test_what_is_left_out_has_its_default() -> None:
    assert mode_of({"kind": "dynamic"}) == Dynamic(solver="refined", low=0.0, high=2.0)


def test_one_number_will_do_for_all_experts() -> None:
    assert mode_of({"kind": "static", "alpha": 1}) == Static((1.0,))


def test_the_published_grid_has_21_points() -> None:
    grid = Dynamic().grid
    assert len(grid) == 21
    assert grid[-1] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "kind is None; it must be one of dynamic, static"),
        ({"kind": "magic"}, "'magic'"),
        ({"kind": "dynamic", "alpha": 1}, "no 'alpha'"),
        ({"kind": "emulated-fine-tuning", "alpha": 1}, "it takes nothing"),
        ({"kind": "dynamic", "solver": "guess"}, "refined, grid, joint, leading"),
        ({"kind": "dynamic", "solver": 3}, "refined, grid, joint, leading"),
        ({"kind": "dynamic", "high": 0.0}, "above low"),
        ({"kind": "dynamic", "low": -1.0}, "from 0 on"),
        ({"kind": "dynamic", "low": 0.5, "solver": "joint"}, "0 where all experts pull"),
        ({"kind": "dynamic", "step": 0}, "above 0"),
        ({"kind": "dynamic", "high": float("nan")}, "nan"),
        ({"kind": "dynamic", "step": "small"}, "a number"),
        ({"kind": "static", "alpha": True}, "a number"),
        ({"kind": "static", "alpha": []}, "one finite number or several"),
        ({"kind": "static", "alpha": [float("inf")]}, "one finite number or several"),
        ({"kind": "contrast", "beta": -0.5}, "beta is -0.5"),
        ({"kind": "contrast", "a": 1.5}, "a is 1.5"),
        ({"kind": "log-linear", "weights": ["1"]}, "a number"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(written: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        mode_of(written)


@pytest.mark.parametrize(
    ("mode", "experts"),
    [
        (Dynamic(), 0),
        (EmulatedFineTuning(), 0),
        (Static(), 0),
        (Static((1.0, 2.0)), 3),
        (Contrast(), 1),
        (LogLinear((0.5, 0.5)), 2),
    ],
)
def test_a_mode_is_refused_with_a_number_of_experts_it_has_no_use_for(
    mode: Mode, experts: int
) -> None:
    with pytest.raises(ConfigurationError, match=f"{mode.kind} wants .* given {experts}"):
        check_parts(mode, experts=experts)


@pytest.mark.parametrize(
    ("mode", "experts"),
    [(Dynamic(), 3), (Static(), 3), (Static((1.0, 2.0)), 2), (Contrast(), 0), (LogLinear(), 1)],
)
def test_a_mode_is_accepted_with_a_number_of_experts_it_has_use_for(
    mode: Mode, experts: int
) -> None:
    check_parts(mode, experts=experts)
