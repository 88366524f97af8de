"""Profiles of real models foretell answers they were not made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

RECORDED = os.environ.get("COTERIE_RECORDED")


@pytest.mark.skipif(
    not RECORDED or not Path(RECORDED).is_dir(),
    reason="COTERIE_RECORDED names no folder of recorded answers",
)
def test_profiles_of_25_questions_a_category_foretell_best() -> None:
    pytest.importorskip("pyarrow", reason="reading recorded answers needs pyarrow")
    from benchmarks import profiles

    folds = profiles.recorded(Path(RECORDED or ""), "mmlu_pro", profiles.TEN)
    scores = profiles.compare(
        profiles.METHODS, folds, lambda m, rng: profiles.limited(m, 25, rng), draws=3
    )
    log_loss = {name: score[0] for name, score in scores.items()}
    assert min(log_loss, key=log_loss.__getitem__) == "estimate_profiles"
    assert scores["estimate_profiles"][3] ** 0.5 < 1.1  # spreads are honest
