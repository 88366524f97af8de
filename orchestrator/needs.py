"""What a request needs of an expert beyond answering text with text, and who has it.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from coterie.errors import RequestError
from coterie.types import Capability, Expert, Message, Question, Sampling

Needs = Mapping[Capability, str]
"""What is needed, and the field of the request that needs it."""

PARTS: Mapping[str, Capability] = {
    "image_url": Capability.IMAGES,
    "input_image": Capability.IMAGES,
    "input_audio": Capability.AUDIO,
    "audio_url": Capability.AUDIO,
    "video_url": Capability.VIDEO,
    "file": Capability.FILES,
    "input_file": Capability.FILES,
}
"""What parts of a message need, by their type.  Others are passed on, whatever they are."""


def needs_of(question: Question, sampling: Sampling) -> Needs:
    """What the request needs; nothing for most."""
    needs: dict[Capability, str] = {}
    for message in question.messages:
        if not isinstance(message.content, str) or message.fields:
            _add_message(needs, message)
    if sampling.extra:
        _add_fields(needs, sampling.extra)
    return needs


def calls_tools(question: Question, sampling: Sampling) -> bool:
    """Whether this turn may call a tool, or goes on from what one gave back."""
    if question.messages[-1].role in ("tool", "function"):
        return True
    extra = sampling.extra
    if extra.get("tools"):
        return extra.get("tool_choice") != "none"
    return bool(extra.get("functions")) and extra.get("function_call") != "none"


def able(experts: Sequence[Expert], needs: Needs) -> list[Expert]:
    """Those of ``experts`` that may be recruited: who has declared all of it, and where nobody has,
    those that have declared nothing.  Raises :class:`RequestError` where there is neither.
    """
    known = [e for e in experts if e.capabilities is not None and needs.keys() <= {*e.capabilities}]
    if found := known or [e for e in experts if e.capabilities is None]:
        return found
    raise _nobody(experts, needs)


def _add_message(needs: dict[Capability, str], message: Message) -> None:
    if message.role in ("tool", "function") or message.fields.get("tool_calls"):
        needs.setdefault(Capability.TOOLS, "messages")
    content = message.content
    if isinstance(content, str) or not isinstance(content, Sequence):
        return
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(kind, str) and (needed := PARTS.get(kind)):
            needs.setdefault(needed, "messages")


def _add_fields(needs: dict[Capability, str], extra: Mapping[str, object]) -> None:
    for field in ("tools", "functions"):
        if extra.get(field):
            needs.setdefault(Capability.TOOLS, field)
    wanted = extra.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        needs[Capability.JSON_SCHEMA] = "response_format"
    if wants_logprobs(extra):
        needs[Capability.LOGPROBS] = "logprobs"
    modalities = extra.get("modalities")
    if isinstance(modalities, Collection) and "audio" in modalities:
        needs.setdefault(Capability.AUDIO, "modalities")


def wants_logprobs(extra: Mapping[str, object]) -> bool:
    """Whether the answer must tell how probable its tokens were."""
    return extra.get("logprobs") is True


def _nobody(experts: Sequence[Expert], needs: Needs) -> RequestError:
    wanted = ", ".join(needs)
    declared = "; ".join(
        f"{e.name!r} has {', '.join(e.capabilities or ()) or 'none'}" for e in experts[:8]
    )
    first = next(iter(needs))
    lacking = [c for c in needs if not any(c in (e.capabilities or ()) for e in experts)] or [first]
    return RequestError(
        f"no expert that may be recruited is capable of {wanted}, which the request needs "
        f"({', '.join(dict.fromkeys(needs.values()))}): of their capabilities, {declared}; declare "
        f"it in an expert's entry ('capabilities: [{', '.join(needs)}]'), or name an expert as "
        "the model to ask it all the same",
        param=needs[lacking[0]],
    )
