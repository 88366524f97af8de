"""The α of fused answers in why-records: told once, or told to be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aggregator.fusion.trace import TraceFolder
from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel
from orchestrator.alpha import AlphaRecords
from orchestrator.engines.alpha_traces import AlphaTraces, trace_id, traces_folder

ID = "0a" * 16
SPEC = FusionSpec("large", SmallModel("m"), (SmallModel("m", adapter="/law"),))
EXPERTS = {
    "large": Expert("large", ExpertKind.VLLM, "org/large"),
    "fused": Expert("fused", ExpertKind.FUSION, "", fusion=SPEC),
}


@pytest.fixture
def records(tmp_path: Path) -> AlphaRecords:
    return AlphaRecords(AlphaTraces(traces_folder(tmp_path)), lambda: EXPERTS)


def written(home: Path) -> None:
    """One step of an answer of ``fused``, as its engine writes it."""
    folder, id = TraceFolder(str(traces_folder(home) / "large")), trace_id(ID, "fused")
    folder.begin(id, anew=True)
    folder.add(id, 0, {"law": 0.25})


def record(*experts: str, synthesis: str | None = None) -> dict[str, Any]:
    return {
        "id": ID,
        "traced": True,
        "answers": [{"expert": name} for name in experts],
        "synthesis": {"expert": synthesis} if synthesis else None,
    }


def test_a_record_that_is_not_traced_stays_as_it_is(records: AlphaRecords, tmp_path: Path) -> None:
    written(tmp_path)
    plain = {"id": ID, "answers": [{"expert": "fused"}]}
    assert records.complete(plain) is plain


def test_alpha_is_told_of_who_was_fused(records: AlphaRecords, tmp_path: Path) -> None:
    written(tmp_path)
    [told] = records.complete(record("large", "fused"))["alpha"]
    assert told == {"expert": "fused", "steps": [{"law": 0.25}], "left_out": 0, "problem": ""}


@pytest.mark.parametrize("asked", [record("fused"), record("large", synthesis="fused")])
def test_what_is_missing_is_told(records: AlphaRecords, asked: dict[str, Any]) -> None:
    [told] = records.complete(asked)["alpha"]
    assert told["expert"] == "fused"
    assert "no trace of it" in told["problem"]


def test_nothing_is_missing_of_who_is_not_fused_or_gone(records: AlphaRecords) -> None:
    assert records.complete(record("large", "gone"))["alpha"] == []


def test_a_request_that_failed_leaves_no_trace_behind(
    records: AlphaRecords, tmp_path: Path
) -> None:
    written(tmp_path)
    failed = {"id": ID, "traced": True, "status": "failed"}
    assert [t["expert"] for t in records.complete(failed)["alpha"]] == ["fused"]
    assert not list(tmp_path.rglob("*.jsonl"))
