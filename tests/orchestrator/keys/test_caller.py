"""What a caller may use, and see."""

from typing import Any

import pytest

from coterie.errors import ModelNotAllowed
from orchestrator.keys.key import ANYONE, Caller, Role


def test_auto_falls_on_what_the_key_may_use(world: Any) -> None:
    caller = Caller.of(world.key(strategies=("coe", "cascade")))
    assert caller.strategy("coe", "symbolic") == "coe"
    assert caller.strategy("auto", "cascade") == "cascade"
    assert caller.strategy("auto", "symbolic") == "coe"
    with pytest.raises(ModelNotAllowed, match="coe, cascade"):
        caller.strategy("symbolic", "symbolic")
    assert Caller.of(world.key(strategies=("auto",))).strategy("auto", "symbolic") == "auto"
    assert ANYONE.strategy("symbolic", "coe") == "symbolic"


def test_an_expert_is_asked_by_name_if_the_key_may_ask_it(world: Any) -> None:
    caller = Caller.of(world.key(experts=("a",), strategies=("coe",)))
    caller.check_expert("a")
    with pytest.raises(ModelNotAllowed, match="'b'"):
        caller.check_expert("b")
    ANYONE.check_expert("b")


def test_callers_see_their_own_and_some_roles_everything(world: Any) -> None:
    ada = Caller.of(world.key(id="key_1"))
    assert ada.owns("key_1")
    assert not any(ada.owns(other) for other in ("key_2", "anonymous", ""))
    assert Caller.of(world.key(role=Role.VIEWER)).owns("key_2")
    assert ANYONE.owns("chat-file")
    assert ANYONE.owns("")
    assert not ANYONE.owns("key_1")
    assert not ANYONE.owns("admin-file")
