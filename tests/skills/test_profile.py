"""The Beta posterior: what little evidence comes to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skills.profile import beta_estimate


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.01, 0.99), st.floats(0.1, 50))
def test_the_posterior_mean_lies_between_prior_and_rate(
    correct: int, wrong: int, prior: float, strength: float
) -> None:
    n = correct + wrong
    found = beta_estimate(correct, n, prior_mean=prior, prior_n=strength)
    rate = correct / n if n else prior
    assert min(prior, rate) - 1e-9 <= found.mean <= max(prior, rate) + 1e-9
    assert 0 <= found.sd <= 0.5


def test_more_evidence_is_surer() -> None:
    few = beta_estimate(3, 4, prior_mean=0.5, prior_n=2)
    many = beta_estimate(300, 400, prior_mean=0.5, prior_n=2)
    assert many.sd < few.sd
    assert many.mean == pytest.approx(0.75, abs=0.01)
