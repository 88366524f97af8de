"""A snapshot's body holds everything, and is the same bytes for the same knowledge."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import SnapshotError
from coterie.types import Effort, Estimate, Profile, SkillWeight
from skills.knowledge import Knowledge
from skills.memory import Memory
from skills.snapshot import default_name, pack, pack_memory, read_profile, unpack, unpack_memory

E = Estimate(0.75, 0.125, 8.0)
FULL = Profile("a", E, {"sql": E, "größe": Estimate(0.1, 0.2, 0.3)}, Effort(10, 5.5, None, 4), E)
BARE = Profile("b", Estimate(0.5, 0.1, 2.0))


def memory(q: int = 2, e: int = 3) -> Memory:
    rng = np.random.default_rng(0)
    return Memory(
        experts=tuple(f"e{i}" for i in range(e)),
        items=tuple(f"t/{i}" for i in range(q)),
        categories=("",) * q,
        skills=tuple(
            (SkillWeight("sql", 0.75, 0.5), SkillWeight("ü", 0.25, 0.1)) for _ in range(q)
        ),
        vectors=rng.random((q, 4), dtype=np.float32),
        options=np.full(q, 4, dtype=np.int16),
        correct=np.where(rng.random((q, e)) < 0.5, np.nan, 1).astype(np.float32),
        answers=np.full((q, e), "größe"),
        readings=np.full((q, e), 2, dtype=np.int8),
        tokens=np.full((q, e), np.nan, dtype=np.float32),
    )


def same(a: Memory, b: Memory) -> bool:
    for field in fields(Memory):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype, field.name
        else:
            assert one == other, field.name
    return True


@pytest.mark.parametrize("shape", [(2, 3), (0, 0), (1, 0)])
def test_a_memory_comes_back_as_it_was(shape: tuple[int, int]) -> None:
    given = memory(*shape)
    assert same(unpack_memory(pack_memory(given)), given)


def test_knowledge_comes_back_as_it_was() -> None:
    given = Knowledge.of(
        [BARE, FULL],
        memory=memory(),
        choices={"auto": "cascade"},
        fitted={"learned/größe": "w\n1", "empty": ""},
    )
    found = unpack("x", pack(given))
    assert found.name == "x"
    assert found.profiles == {"a": FULL, "b": BARE}
    assert found.choices == {"auto": "cascade"}
    assert found.fitted == {"learned/größe": "w\n1", "empty": ""}
    assert found.memory is not None
    assert same(found.memory, memory())


def test_knowledge_without_memory_comes_back_without_one() -> None:
    found = unpack("x", pack(Knowledge.of([BARE])))
    assert (found.profiles, found.memory) == ({"b": BARE}, None)
    assert (found.choices, found.fitted) == ({}, {})


@given(st.permutations([BARE, FULL, replace(BARE, expert="c")]))
def test_the_same_knowledge_is_the_same_bytes(profiles: list[Profile]) -> None:
    first = pack(Knowledge.of([BARE, FULL, replace(BARE, expert="c")], memory=memory()))
    assert pack(Knowledge.of(profiles, name="another", memory=memory())) == first


def test_a_name_tells_time_and_content() -> None:
    noon = datetime(2026, 1, 2, 12, 30, 5, tzinfo=UTC)
    assert default_name(noon, b"a").startswith("20260102T123005Z-")
    assert default_name(noon, b"a") != default_name(noon, b"b")


@pytest.mark.parametrize("damage", [b"", b"junk", pack(Knowledge.of([BARE]))[:-30]])
def test_a_damaged_body_is_told_with_the_next_step(damage: bytes) -> None:
    with pytest.raises(SnapshotError, match=r"'x' cannot be read.*activate another"):
        unpack("x", damage)


def test_nothing_in_it_is_ever_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory with a pickle inside is refused, not loaded."""
    objects = replace(memory(), answers=np.full((2, 3), {"a": 1}, dtype=object))
    with pytest.raises(ValueError, match="Object arrays"):
        pack_memory(objects)


def test_one_profile_is_read_alone_whatever_skills_are_called() -> None:
    half = Estimate(0.5, 0.1, 3)
    odd = {"aggregation": half, "expert": half, '"expert": "b"': half, "é\u2028": half}
    profiles = [Profile(n, half, odd, None, half, odd) for n in ("a", "b", "c")]
    body = pack(Knowledge.of(profiles))
    assert [read_profile("s", body, n) for n in ("a", "b", "c")] == profiles
    assert read_profile("s", body, "d") is None
    with pytest.raises(SnapshotError):
        read_profile("s", b"no zip", "a")
