"""What the roster hands to routing."""

from typing import Any

import numpy as np

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
