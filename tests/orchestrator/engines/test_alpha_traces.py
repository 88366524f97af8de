"""Traces of α: read once, whole or with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aggregator.fusion.trace import TraceFolder
from orchestrator.engines.alpha_traces import (
    MOST_STEPS,
    AlphaTrace,
    AlphaTraces,
    trace_id,
    traces_folder,
)

REQUEST = "0f" * 16


@pytest.fixture
def engine(tmp_path: Path) -> TraceFolder:
    """Where the engine ``large`` writes, as it does."""
    return TraceFolder(str(traces_folder(tmp_path) / "large"))


@pytest.fixture
def traces(tmp_path: Path) -> AlphaTraces:
    return AlphaTraces(traces_folder(tmp_path))


def test_what_an_engine_wrote_is_read_once(engine: TraceFolder, traces: AlphaTraces) -> None:
    id = trace_id(REQUEST, "lifted.v2")
    engine.begin(id, anew=True)
    for step, alpha in [(0, 0.5), (1, 0.123456), (1, 0.7), (2, float("nan"))]:
        engine.add(id, step, {"law": alpha})
    [found] = traces.take(REQUEST)
    assert found == AlphaTrace("lifted.v2", [{"law": 0.5}, {"law": 0.7}, {"law": None}])
    json.dumps(found.steps, allow_nan=False)
    assert traces.take(REQUEST) == []


def test_two_answers_of_one_request_are_two_traces(
    engine: TraceFolder, traces: AlphaTraces
) -> None:
    for _ in range(2):
        engine.begin(trace_id(REQUEST, "a"), anew=True)
    engine.begin(trace_id("ab" * 16, "a"), anew=True)
    assert [t.expert for t in traces.take(REQUEST)] == ["a", "a"]
    assert len(traces.take("ab" * 16)) == 1


def test_a_long_trace_is_cut(engine: TraceFolder, traces: AlphaTraces) -> None:
    id = trace_id(REQUEST, "a")
    engine.begin(id, anew=True)
    for step in range(MOST_STEPS + 7):
        engine.add(id, step, {"law": 1.0})
    [found] = traces.take(REQUEST)
    assert (len(found.steps), found.left_out) == (MOST_STEPS, 7)


@pytest.mark.parametrize(
    "text", ["no json\n", "[]\n", '{"step": 1}\n', '{"step": 1, "alpha": 3}\n']
)
def test_a_trace_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    folder = traces_folder(tmp_path) / "large"
    folder.mkdir(parents=True)
    (folder / f"{trace_id(REQUEST, 'a')}.jsonl").write_text(text)
    [found] = AlphaTraces(traces_folder(tmp_path)).take(REQUEST)
    assert "cannot be read" in found.problem
    assert not list(folder.iterdir())


def test_half_a_line_is_not_read(tmp_path: Path) -> None:
    folder = traces_folder(tmp_path) / "large"
    folder.mkdir(parents=True)
    whole = '{"step": 0, "alpha": {"law": 1}}\n'
    (folder / f"{trace_id(REQUEST, 'a')}.jsonl").write_text(whole + '{"step": 1, "al')
    [found] = AlphaTraces(traces_folder(tmp_path)).take(REQUEST)
    assert found.steps == [{"law": 1.0}]


@pytest.mark.parametrize("request_id", ["", "..", "*", "a/b", REQUEST])
def test_where_there_is_nothing_nothing_is_found(traces: AlphaTraces, request_id: str) -> None:
    assert traces.take(request_id) == []
