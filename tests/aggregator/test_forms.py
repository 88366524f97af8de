"""What the wording of options says."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.forms import Forms, fit_forms, held_out_forms, of_answers, option_of
from aggregator.traces import features
from aggregator.training import Training
from tests.aggregator.panels import Panel

WIDTH = features("?", ("a", "b")).shape[1]

ODD = {
    "empty": ("", "", ""),
    "blank": (" ", "\t", "\n"),
    "one": ("alone",),
    "identical": ("same",) * 10,
    "unicode": ("ℵ₀ ≤ ²", "٣ شمس", "ſtraße", "🦉" * 9, "\u0301"),
    "very long numbers": ("1" + "0" * 400, "-" + "9" * 400, "1e400", "1e-400", "0"),
    "large numbers": ("1e99", "-1e99", "9e98", "1e308"),
    "nul": ("\0", "a\0b", "\0\0"),
    "very long": ("x" * 20_000, "y z " * 5_000),
    "numbers alike": ("7", "7", "7", "7"),
    "one number": ("7", "x", "y"),
    "zeros": ("0", "0.0", "-0", "00"),
    "commas": ("1,2,3", "1,,2", "-,1", "1."),
}


@pytest.mark.parametrize("choices", ODD.values(), ids=ODD)
def test_odd_options_have_finite_features(choices: tuple[str, ...]) -> None:
    found = features("Which?", choices)
    assert found.shape == (len(choices), WIDTH)
    assert np.isfinite(found).all()


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=30), st.lists(st.text(max_size=30), min_size=1, max_size=10))
def test_any_options_have_finite_features(text: str, choices: list[str]) -> None:
    found = features(text, tuple(choices))
    assert found.shape == (len(choices), WIDTH)
    assert np.isfinite(found).all()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(), min_size=2, max_size=10))
def test_any_numbers_have_finite_features(numbers: list[float]) -> None:
    assert np.isfinite(features("?", tuple(map(str, numbers)))).all()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.text(max_size=20) | st.integers().map(str),
        min_size=2,
        max_size=8,
    ).flatmap(lambda choices: st.tuples(st.just(choices), st.permutations(range(len(choices)))))
)
def test_the_order_of_options_orders_the_rows(case: tuple[list[str], list[int]]) -> None:
    choices, order = case
    turned = features("a question", tuple(choices[i] for i in order))
    expected = features("a question", tuple(choices))[order]
    np.testing.assert_allclose(turned, expected, atol=1e-4)


@pytest.mark.parametrize("choices", [("same",) * 4, ("7", "7", "7", "9"), ("cat", "dog", "a bird")])
def test_equal_options_leave_equal_traces_wherever_they_stand(choices: tuple[str, ...]) -> None:
    found = features("?", choices)
    for row, choice in zip(found, choices, strict=True):
        np.testing.assert_allclose(row, found[choices.index(choice)], atol=1e-5)


def test_a_question_is_looked_at_once() -> None:
    choices = ("some", "options", "of its own")
    found = features("Which of them?", choices)
    before = features.cache_info()
    assert features("Which of " + "them?", (*choices,)) is found
    assert features.cache_info().misses == before.misses
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1


# --- the fit ------------------------------------------------------------------------------------


@lru_cache
def worded(n: int = 60) -> Training:
    """Questions whose right option is the long one, each with a variant."""
    made = Panel(n, seed=2)
    made.expert("ann", 0.5)
    choices = tuple(
        tuple("much longer than others" if x == target else "brief" for x in "ABCDE")
        for target in made.targets.tolist()
    )
    return made.training(choices=choices, groups=np.arange(n) // 2)


def test_the_trace_that_tells_is_found() -> None:
    forms = fit_forms(worded())
    assert forms is not None
    prior = forms.log_prior("?", ("brief", "brief", "much longer than others", "brief"))
    assert prior.argmax() == 2
    assert np.exp(prior).sum() == pytest.approx(1)
    assert np.exp(prior[2]) > 0.8


def test_priors_are_probabilities_whatever_the_options() -> None:
    forms = fit_forms(worded())
    assert forms is not None
    for choices in ODD.values():
        assert np.exp(forms.log_prior("?", choices)).sum() == pytest.approx(1)


def test_what_is_held_out_never_saw_its_own_group() -> None:
    training = worded()
    before = held_out_forms(training)
    for group in (0, 17):
        own = training.groups == group
        moved = tuple(
            "ABCDE"[("ABCDE".index(t) + 1) % 5] if mine else t
            for t, mine in zip(training.targets, own, strict=True)
        )
        after = held_out_forms(replace(training, targets=moved))
        for q in np.flatnonzero(own):
            np.testing.assert_array_equal(after[q], before[q])
        assert any((a != b).any() for a, b in zip(after, before, strict=True))


def test_questions_without_options_or_a_right_one_among_them_teach_nothing() -> None:
    training = worded(40)
    choices = ((), ("alone",), *training.choices[2:])
    targets = (*training.targets[:2], "F", "12", "", "é", *training.targets[6:])
    found = held_out_forms(replace(training, choices=choices, targets=targets))
    assert [len(prior) for prior in found] == [0] * 6 + [5] * 34
    assert fit_forms(replace(training, choices=((),) * 40)) is None
    assert all(not len(p) for p in held_out_forms(replace(training, choices=((),) * 40)))


def test_one_group_alone_is_told_nothing() -> None:
    assert not any(map(len, held_out_forms(replace(worded(40), groups=np.zeros(40, dtype=int)))))


def test_kept_as_a_dictionary_it_says_the_same() -> None:
    forms = fit_forms(worded())
    assert forms is not None
    again = Forms.of_dict(forms.as_dict())
    for choices in ODD.values():
        np.testing.assert_array_equal(again.log_prior("?", choices), forms.log_prior("?", choices))


def test_an_answer_names_the_option_of_its_letter() -> None:
    assert [option_of(a) for a in ("A", "Z", "a", "AB", "", "7", "É")] == [0, 25, *[None] * 5]
    prior = np.array([-1.0, -3.0, -2.0])
    assert of_answers(prior, ["C", "A", "D", "42"]).tolist() == [-2, -1, -3, -3]
