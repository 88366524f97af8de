"""Experts' descriptions become vectors once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.descriptions import Descriptions, described
from orchestrator.inquiry import Inquiry
from orchestrator.roster import Roster, Snapshot
from orchestrator.routing import Policy


class Embedder:
    """One-hot vectors by length; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.stack([np.eye(64, dtype=np.float32)[len(t) % 64] for t in texts])


def test_a_description_is_text_and_tags(kit: Any) -> None:
    expert = kit.expert("a", description=" Writes SQL. ", tags=("databases", "demo"))
    assert described(expert) == "Writes SQL. databases, demo"
    assert described(kit.expert("a", tags=("databases",))) == "databases"
    assert described(kit.expert("a")) == ""


async def test_a_text_is_embedded_when_it_is_new_and_only_then(kit: Any) -> None:
    embed = Embedder()
    descriptions = Descriptions(embed)
    experts = [
        kit.expert("a", description="law"),
        kit.expert("b", description="sums"),
        kit.expert("c"),
    ]
    first = await descriptions.of(experts)
    assert set(first) == {"a", "b"}
    assert await descriptions.of(experts) is first
    experts[0] = kit.expert("a", description="medicine")
    second = await descriptions.of(experts)
    assert embed.asked == ["law", "sums", "medicine"]
    assert second["b"] is first["b"]


async def test_without_an_encoder_there_is_nothing_to_compare(kit: Any) -> None:
    assert await Descriptions().of([kit.expert("a", description="law")]) == {}


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
    snapshot = Snapshot.of(experts, [], {"a": vector})
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
