"""Experts' descriptions become vectors once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.descriptions import Descriptions, described, texts_of


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


def test_examples_are_compared_one_by_one(kit: Any) -> None:
    expert = kit.expert("a", description="Sums.", examples=("1 + 1", " 2 + 2 ", "", "1 + 1"))
    assert texts_of(expert) == ("Sums", "1 + 1", "2 + 2")
    assert texts_of(kit.expert("a", examples=("1 + 1",))) == ("1 + 1",)


async def test_every_text_of_an_expert_is_a_row(kit: Any) -> None:
    found = await Descriptions(Embedder()).of([kit.expert("a", description="law", examples=("x",))])
    assert found["a"].shape == (2, 64)


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
    assert (second["b"] == first["b"]).all()


async def test_without_an_encoder_there_is_nothing_to_compare(kit: Any) -> None:
    assert await Descriptions().of([kit.expert("a", description="law")]) == {}
