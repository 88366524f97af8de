"""What the roster hands to routing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coterie.errors import NoExpertAvailable
from orchestrator.inquiry import Inquiry
from orchestrator.roster import Roster, Snapshot
from orchestrator.routing import Policy
from skills.knowledge import Knowledge


async def test_new_knowledge_is_made_ready_once(kit: Any) -> None:
    roster = kit.roster([kit.engine("a"), kit.engine("b")], {"a": 0.9, "b": 0.5})
    knowledge = roster.snapshot.knowledge
    await roster.warm(Policy())
    assert ("table", ("a", "b")) in knowledge._derived
    knowledge._derived.clear()
    await roster.warm(Policy())
    assert not knowledge._derived


async def test_a_pool_knows_descriptions_and_who_is_busy(kit: Any) -> None:
    vector = np.ones(1, dtype=np.float32)
    experts = [kit.expert("a"), kit.expert("b")]
    snapshot = Snapshot.of(experts, Knowledge(), {"a": vector})
    roster = Roster(kit.fleet([kit.engine("a"), kit.engine("b")]), snapshot)
    inquiry: Inquiry = kit.inquiry()
    idle = await roster.pool(inquiry)
    assert idle.descriptions == {"a": vector}
    assert idle.load == {}
    with roster.answering("a"), roster.answering("a"):
        busy = await roster.pool(inquiry)
        assert busy.load == {"a": 2}
        assert busy.table is idle.table
    assert await roster.pool(inquiry) is idle
    roster.snapshot = Snapshot(snapshot.experts, snapshot.knowledge, {})
    assert (await roster.pool(inquiry)).descriptions == {}


async def test_who_is_not_recruited_is_asked_by_name_alone(kit: Any) -> None:
    shy = replace(kit.expert("shy"), recruit=False)
    snapshot = Snapshot.of([kit.expert("a"), shy], Knowledge())
    roster = Roster(kit.fleet([kit.engine("a"), kit.engine("shy")]), snapshot)
    assert (await roster.pool(kit.inquiry())).names == ("a",)
    assert [e.name for e in roster.enabled] == ["a", "shy"]
    assert roster.expert("shy") == shy
    roster.snapshot = Snapshot.of([shy], Knowledge())
    with pytest.raises(NoExpertAvailable, match=r"may be recruited.*ask one by its name"):
        await roster.pool(kit.inquiry())
