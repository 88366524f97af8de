"""What a job keeps of an expert is the expert."""

from __future__ import annotations

import json

from coterie.types import (
    Capability,
    Completion,
    Expert,
    ExpertKind,
    FusionSpec,
    Limits,
    Sampling,
    SmallModel,
    Usage,
    as_jsonable,
)
from orchestrator.jobs import record


def test_an_expert_that_was_kept_equals_the_one_that_was_entered() -> None:
    entered = Expert(
        "ann",
        ExpertKind.VLLM,
        "org/ann",
        defaults=Sampling(temperature=0.5, stop=("END",)),
        engine_args={"max_num_seqs": 8, "env": {"OMP_NUM_THREADS": "1"}},
        tags=("small",),
        examples=("How many is it?",),
        fusion=FusionSpec(
            "bob", SmallModel(expert="cleo"), (SmallModel("m", overrides={"a": 1}),), {"kind": "x"}
        ),
        endpoints=("http://a", "http://b"),
        limits=Limits(4, 8, 1.5),
        capabilities=(Capability.TOOLS,),
    )
    assert record.expert_of(json.loads(json.dumps(as_jsonable(entered)))) == entered


def test_an_answer_keeps_its_log_probabilities() -> None:
    told = {"content": [{"token": "7", "logprob": -0.5}]}
    for logprobs in (None, told):
        answer = Completion("ann", "7", "stop", Usage(3, 1), 0.5, {"content": "7"}, logprobs)
        assert record.completion_of(record.completion_bytes(answer)) == answer
