"""Sorting prompts into categories."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skills.classifier import FOLDS, Fitted, entropies, entropy, fit_classifier
from skills.folds import folds
from skills.memory import Memory
from skills.softmax import cross_entropy, fit_softmax, softmax, temperature, with_constant


def fitted(memory: Memory) -> Fitted:
    found = fit_classifier(memory)
    assert found is not None
    return found


def test_both_kinds_beat_the_prior_on_held_out_questions(
    make_memory: Callable[..., Memory],
) -> None:
    memory = make_memory(questions=150)
    shares = np.unique(memory.categories, return_counts=True)[1] / len(memory)
    prior_loss = entropy(shares)
    found = fitted(memory)
    assert {fit.kind for fit in found.fits} == {"neighbours", "linear"}
    for fit in found.fits:
        assert fit.log_loss < 0.7 * prior_loss
        assert fit.accuracy > shares.max() + 0.2
    assert found.classifier.kind == found.fits[0].kind
    assert found.fits[0].kind == "linear" or found.fits[0].log_loss < found.fits[1].log_loss


def test_probabilities_sum_to_one_whatever_the_kind(make_memory: Callable[..., Memory]) -> None:
    for questions, noise in ((60, 0.2), (150, 0.9), (400, 1.5)):
        found = fitted(make_memory(questions=questions, noise=noise))
        for vector in np.eye(8, dtype=np.float32):
            p = found.classifier.probabilities(vector)
            assert p.shape == (3,)
            assert p.sum() == pytest.approx(1, abs=1e-12)
            assert (p >= 0).all()
        assert found.held_out.sum(axis=1) == pytest.approx(np.ones(questions))


def test_what_is_held_out_was_not_seen(make_memory: Callable[..., Memory]) -> None:
    """Labels of one fold, however wrong, do not move what is said of that fold."""
    memory = make_memory(questions=100, noise=0.2)
    own = folds(memory.items, FOLDS) == 0
    wrong = {"category-0": "category-1", "category-1": "category-2", "category-2": "category-0"}
    labels = [wrong[c] if mine else c for c, mine in zip(memory.categories, own, strict=True)]
    found = fitted(replace(memory, categories=tuple(labels)))
    said = np.array(found.classifier.names)[found.held_out[own].argmax(axis=1)]
    assert (said == np.array(memory.categories)[own]).mean() > 0.9


def test_neighbours_are_kept_where_no_plane_parts_the_categories() -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 400)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    labels = tuple(("even", "odd")[int(6 * a / np.pi) % 2] for a in angle)
    shape = (400, 0)
    found = fitted(
        Memory(
            (),
            tuple(f"q{i}" for i in range(400)),
            labels,
            ((),) * 400,
            vectors,
            np.zeros(400, dtype=np.int16),
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.str_),
            np.zeros(shape, dtype=np.int8),
            np.zeros(shape, dtype=np.float32),
        )
    )
    assert found.classifier.kind == "neighbours"
    assert found.fits[0].accuracy > 0.9
    for vector in vectors[:20]:
        assert found.classifier.probabilities(vector).sum() == pytest.approx(1, abs=1e-12)


def test_fitting_twice_gives_the_same(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory()
    a, b = fitted(memory), fitted(memory)
    assert a.fits == b.fits
    assert np.array_equal(a.held_out, b.held_out)


def test_questions_without_a_label_are_sorted_but_not_learned_from(
    make_memory: Callable[..., Memory],
) -> None:
    memory = make_memory(questions=100)
    labels = tuple("" if i % 4 == 0 else c for i, c in enumerate(memory.categories))
    found = fitted(replace(memory, categories=labels))
    assert found.classifier.names == ("category-0", "category-1", "category-2")
    sorted_right = [
        found.classifier.names[p.argmax()] == c
        for p, c in zip(found.held_out, memory.categories, strict=True)
    ]
    assert np.mean(sorted_right[::4]) > 0.6


def test_one_category_teaches_nothing(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory()
    assert fit_classifier(replace(memory, categories=("x",) * len(memory))) is None
    assert fit_classifier(replace(memory, categories=("",) * len(memory))) is None
    assert fit_classifier(memory.at(np.arange(4))) is None


def test_a_category_with_one_question_is_survived(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory(questions=40)
    labels = ("rare", *memory.categories[1:])
    found = fitted(replace(memory, categories=labels))
    assert "rare" in found.classifier.names
    assert np.isfinite([fit.log_loss for fit in found.fits]).all()


def test_entropy_is_none_when_certain_and_most_when_even() -> None:
    assert entropy(np.array([1.0, 0.0, 0.0])) == 0
    assert entropy(np.full(4, 0.25)) == pytest.approx(np.log(4))
    rows = np.array([[0.5, 0.5], [0.9, 0.1]])
    assert entropies(rows) == pytest.approx([entropy(row) for row in rows])


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 5.0]))
def test_a_fit_is_where_the_gradient_vanishes(seed: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    vectors, labels = rng.normal(size=(40, 5)), rng.integers(3, size=40)
    [weights] = fit_softmax(vectors, labels, 3, [penalty])
    x = with_constant(vectors)
    gradient = x.T @ (softmax(x @ weights) - np.eye(3)[labels]) + penalty * weights
    assert abs(gradient).max() < 0.05


def test_a_path_ends_where_a_single_fit_does() -> None:
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(60, 4)), rng.integers(3, size=60)
    path = fit_softmax(vectors, labels, 3, [10.0, 1.0, 0.1])
    [alone] = fit_softmax(vectors, labels, 3, [0.1])
    assert path[-1] == pytest.approx(alone, abs=0.02)


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 4))
    labels = np.array([rng.choice(4, p=p) for p in softmax(logits)])
    assert temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)
    assert cross_entropy(logits, labels) < cross_entropy(3 * logits, labels)
