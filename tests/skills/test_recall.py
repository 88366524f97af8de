"""What similar questions say of the experts."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from skills.evidence import log_loss, rate, rates_of_others
from skills.memory import Memory
from skills.recall import recall


def test_the_setting_with_the_lowest_held_out_loss_is_taken(
    make_memory: Callable[..., Memory],
) -> None:
    memory = make_memory(questions=200)
    found = recall(memory)
    assert found.setting.log_loss == min(s.log_loss for s in found.tried)
    assert found.setting.log_loss < log_loss(rates_of_others(memory), memory.correct)
    assert {type(s.how) for s in found.tried} > {int}


def test_what_is_recalled_knows_who_is_good_where(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory(questions=300)
    found = recall(memory).of(memory)
    for i, vector in enumerate(np.eye(8, dtype=np.float32)[:3]):
        means = rate(found.counts(vector), np.full(3, 0.5), found.strength)
        assert means.argmax() == i
        assert means[i] > 0.7


def test_clusters_serve_where_they_foretell_better(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory(questions=300)
    found = recall(memory)
    clustered = min((s for s in found.tried if isinstance(s.how, int)), key=lambda s: s.log_loss)
    from skills.clusters import clusters_of

    by_cluster = replace(
        found, setting=clustered, clusters=clusters_of(memory.vectors, int(str(clustered.how)))
    ).of(memory)
    counts = by_cluster.counts(np.eye(8, dtype=np.float32)[1])
    assert counts[:3] == pytest.approx(np.round(counts[:3]))  # whole answers, unweighted
    assert (counts[:3] / counts[3:]).argmax() == 1


def test_recalling_is_deterministic(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory()
    assert recall(memory).setting == recall(memory).setting


def test_a_handful_of_questions_is_enough_to_ask(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory(questions=3)
    counts = recall(memory).of(memory).counts(memory.vectors[0])
    assert counts.shape == (6,)
    assert np.isfinite(counts).all()


def test_experts_nobody_remembers_count_nothing(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory()
    counts = recall(memory).of(memory.of_experts(["a", "new"])).counts(memory.vectors[0])
    assert counts[[1, 3]].tolist() == [0, 0]
    assert counts[2] > 0
