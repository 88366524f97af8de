"""Slots stay dense, whoever comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aggregator.fusion.slots import SlotTable


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_slots_in_use_are_the_first_ones_and_what_was_written_is_moved_along(
    events: list[tuple[bool, int]],
) -> None:
    table: SlotTable[int] = SlotTable(10)
    cache: list[int | None] = [None] * 10
    for comes, key in events:
        if comes:
            slot = table.take(key)
            cache[slot.index], slot.filled = key, key
        elif key in table and (move := table.free(key)) is not None:
            assert move.length == cache[move.source]
            cache[move.target] = cache[move.source]
        assert sorted(table[owner].index for owner in table) == list(range(len(table)))
        assert all(cache[table[owner].index] == owner for owner in table)


@given(
    st.integers(1, 8),
    st.sets(st.integers(0, 12)),
    st.lists(st.integers(0, 12), unique=True),
    st.sets(st.integers(0, 12)),
)
def test_victims_make_just_enough_room_and_strangers_go_first(
    limit: int, held: set[int], wanted: list[int], spared: set[int]
) -> None:
    table: SlotTable[int] = SlotTable(limit)
    for key in list(held)[:limit]:
        table.take(key)
    wanted = wanted[:limit]
    victims = table.victims(wanted, spared)
    assert not set(victims) & set(wanted)
    strangers = [key for key in table if key not in spared and key not in wanted]
    for victim in victims:
        table.free(victim)
    if set(victims) & spared:
        assert set(strangers) <= set(victims)
    for key in wanted:
        table.take(key)
    assert len(table) <= limit
    assert not victims or len(table) == limit
