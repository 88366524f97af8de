"""Remembered questions near to a new one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skills.clusters import clusters_of
from skills.neighbours import HeldOut, Kernel, Neighbours


def units(rng: np.random.Generator, n: int, d: int = 6) -> np.ndarray:
    vectors = rng.normal(size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def naive(
    vectors: np.ndarray, values: np.ndarray, vector: np.ndarray, kernel: Kernel, near: float
) -> np.ndarray:
    cosines = [float(v @ vector) for v in vectors]
    nearest = sorted(range(len(vectors)), key=lambda i: -cosines[i])[: kernel.k]
    weights = {i: np.exp((cosines[i] - near) / kernel.temperature) for i in nearest}
    return np.sum([w * values[i] for i, w in weights.items()], axis=0)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([0.05, 0.2, 1.0]))
def test_sums_equal_a_naive_reference(seed: int, k: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    vectors, values = units(rng, 30), rng.random((30, 4)).astype(np.float32)
    kernel, vector = Kernel(k, temperature), units(rng, 1)[0]
    found = Neighbours(vectors, values, kernel, 0.6).sums(vector)
    assert found == pytest.approx(naive(vectors, values, vector, kernel, 0.6), rel=1e-3, abs=1e-4)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_held_out_sums_leave_the_own_group_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, values = units(rng, 25), rng.random((25, 3)).astype(np.float32)
    groups = rng.integers(8, size=25)
    held = HeldOut(vectors, groups, 10)
    kernels = [Kernel(3, 0.1), Kernel(10, 0.5), Kernel(10, 0.05)]
    found = held.sums(values, kernels)
    for i in (0, 7, 24):
        others = groups != groups[i]
        for kernel, sums in zip(kernels, found, strict=True):
            expected = naive(vectors[others], values[others], vectors[i], kernel, held.near)
            assert sums[i] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_question_that_resembles_nothing_gathers_little() -> None:
    rng = np.random.default_rng(0)
    vectors = units(rng, 200)
    values = np.ones((200, 1), dtype=np.float32)
    near = HeldOut(vectors, np.arange(200), 10).near
    found = Neighbours(vectors, values, Kernel(10, 0.1), near)
    away = -vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0))
    opposite = Neighbours(np.abs(vectors), values, Kernel(10, 0.1), near)
    assert found.sums(vectors[0])[0] > 1
    assert opposite.sums(-np.full(6, 6**-0.5, dtype=np.float32))[0] < 0.1
    assert found.sums(away.astype(np.float32))[0] > 0


def test_nobody_else_is_near_a_lone_group() -> None:
    rng = np.random.default_rng(0)
    held = HeldOut(units(rng, 5), np.zeros(5, dtype=np.intp), 3)
    assert held.near == 0.5
    assert not held.sums(np.ones((5, 2), dtype=np.float32), [Kernel(3, 0.1)]).any()


def test_clusters_find_separate_groups_and_repeat_themselves() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=90)
    vectors = np.eye(6)[label] + 0.1 * rng.normal(size=(90, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found = clusters_of(vectors, 3, seed=1)
    assert len({(a, b) for a, b in zip(label.tolist(), found.cells.tolist(), strict=True)}) == 3
    assert found.cells.tolist() == clusters_of(vectors, 3, seed=1).cells.tolist()
    assert [found.cell(v) for v in vectors] == found.cells.tolist()
    assert np.linalg.norm(found.centres, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
