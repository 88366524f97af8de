"""What requests need of experts, and who may be recruited for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coterie.errors import RequestError
from coterie.types import Capability, Expert, ExpertKind, FusionSpec, Message, Question, Sampling
from orchestrator.needs import able, calls_tools, needs_of
from skills.fused import completed

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOLS = [{"type": "function", "function": {"name": "weather"}}]
CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def asked(content: Any = "Hi", **extra: Any) -> tuple[Question, Sampling]:
    return Question((Message("user", content),)), Sampling(extra=extra)


@pytest.mark.parametrize(
    ("content", "extra", "needed"),
    [
        ("Hi", {}, {}),
        ([{"type": "text", "text": "Hi"}], {}, {}),
        ([{"type": "text", "text": "What?"}, PICTURE], {}, {Capability.IMAGES: "messages"}),
        ([{"type": "input_audio"}], {}, {Capability.AUDIO: "messages"}),
        ([{"type": "video_url"}], {}, {Capability.VIDEO: "messages"}),
        ([{"type": "file"}], {}, {Capability.FILES: "messages"}),
        ([{"type": "smell"}, "odd", {"type": ["odd"]}], {}, {}),
        ("Hi", {"tools": TOOLS}, {Capability.TOOLS: "tools"}),
        ("Hi", {"tools": []}, {}),
        ("Hi", {"functions": [{"name": "f"}]}, {Capability.TOOLS: "functions"}),
        ("Hi", {"response_format": {"type": "json_object"}}, {}),
        (
            "Hi",
            {"response_format": {"type": "json_schema"}},
            {Capability.JSON_SCHEMA: "response_format"},
        ),
        ("Hi", {"logprobs": True}, {Capability.LOGPROBS: "logprobs"}),
        ("Hi", {"logprobs": False}, {}),
        ("Hi", {"modalities": ["text", "audio"]}, {Capability.AUDIO: "modalities"}),
    ],
)
def test_what_a_request_needs(content: Any, extra: Any, needed: dict[Capability, str]) -> None:
    assert needs_of(*asked(content, **extra)) == needed


def test_a_history_with_tools_needs_who_can_read_it() -> None:
    talk = [Message("user", "Hi"), Message("assistant", None, {"tool_calls": [CALL]})]
    question = Question((*talk, Message("tool", "7", {"tool_call_id": "1"})))
    assert needs_of(question, Sampling()) == {Capability.TOOLS: "messages"}
    assert calls_tools(question, Sampling())
    later = Question((*question.messages, Message("assistant", "7"), Message("user", "And?")))
    assert needs_of(later, Sampling()) == {Capability.TOOLS: "messages"}
    assert not calls_tools(later, Sampling())


@pytest.mark.parametrize(
    ("extra", "calls"),
    [
        ({"tools": TOOLS}, True),
        ({"tools": TOOLS, "tool_choice": "required"}, True),
        ({"tools": TOOLS, "tool_choice": "none"}, False),
        ({"functions": [{"name": "f"}]}, True),
        ({"functions": [{"name": "f"}], "function_call": "none"}, False),
        ({}, False),
    ],
)
def test_which_turns_call_tools(extra: Any, calls: bool) -> None:
    assert calls_tools(*asked(**extra)) is calls


def expert(name: str, *able_to: str) -> Expert:
    known = None if able_to == ("unsaid",) else tuple(map(Capability, able_to))
    return Expert(name, ExpertKind.OPENAI, name, endpoint="http://h", capabilities=known)


SEES = {Capability.IMAGES: "messages"}


@pytest.mark.parametrize(
    ("experts", "needs", "found"),
    [
        ([expert("a", "images"), expert("b", "tools")], SEES, ["a"]),
        ([expert("a", "images"), expert("b", "unsaid")], SEES, ["a"]),
        ([expert("a", "tools"), expert("b", "unsaid"), expert("c")], SEES, ["b"]),
        ([expert("a", "unsaid"), expert("b", "unsaid")], SEES, ["a", "b"]),
        (
            [expert("a", "images"), expert("b", "images", "tools")],
            SEES | {Capability.TOOLS: "tools"},
            ["b"],
        ),
    ],
    ids=["declared", "before-unsaid", "unsaid-where-nobody", "as-before", "all-of-it"],
)
def test_who_is_recruited(experts: Any, needs: Any, found: list[str]) -> None:
    assert [e.name for e in able(experts, needs)] == found


def test_where_nobody_is_capable_the_error_says_what_is_missing_and_how_to_declare_it() -> None:
    needs = {Capability.TOOLS: "tools", Capability.IMAGES: "messages"}
    with pytest.raises(RequestError) as caught:
        able([expert("a", "tools"), expert("b")], needs)
    told = str(caught.value)
    assert "capable of tools, images" in told
    assert "'a' has tools; 'b' has none" in told
    assert "capabilities: [tools, images]" in told
    assert caught.value.param == "messages"


def test_adapters_and_fusions_are_capable_of_what_they_run_on_is() -> None:
    base = Expert("base", ExpertKind.VLLM, "m", capabilities=(Capability.TOOLS, Capability.IMAGES))
    lora = Expert("lora", ExpertKind.LORA, "", base="base", adapter="/a")
    own = replace(lora, name="own", capabilities=())
    fused = Expert("fused", ExpertKind.FUSION, "", fusion=FusionSpec("base", None))
    found = {e.name: e.capabilities for e in completed([base, lora, own, fused])}
    assert found["lora"] == (Capability.TOOLS, Capability.IMAGES)
    assert found["own"] == ()
    assert found["fused"] == (Capability.TOOLS,)
    silent = replace(base, capabilities=None)
    assert [e.capabilities for e in completed([silent, lora, fused])] == [None, None, None]
