"""What follows when an expert is disabled, drained or removed, told before it is done.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from coterie.errors import RegistryError
from coterie.types import Expert, ExpertKind, ExpertSource, Profile
from skills.validation import check_not_needed


class Act(StrEnum):
    """What is done with an expert."""

    ENABLE = "enable"
    DISABLE = "disable"
    DRAIN = "drain"
    REMOVE = "remove"

    @property
    def done(self) -> str:
        """As in "cannot be disabled"."""
        return self.value + ("d" if self.value.endswith("e") else "ed")


@dataclass(frozen=True, slots=True)
class Consequences:
    """``refused`` says why it cannot be done, None: it can; ``follows`` is what comes of it."""

    act: Act
    expert: str
    refused: str | None
    follows: tuple[str, ...]

    @property
    def question(self) -> str:
        """What is asked before it is done."""
        return "\n".join((f"{self.act.value.capitalize()} {self.expert}?", *self.follows))


def consequences(
    act: Act,
    expert: Expert,
    experts: Mapping[str, Expert],
    *,
    profile: Profile | None = None,
    running: int = 0,
) -> Consequences:
    """What follows: ``experts`` are all there are, ``profile`` is what is known of this one, and
    ``running`` how many calls it answers now."""
    refused = _refusal(act, expert, experts)
    return Consequences(
        act, expert.name, refused, tuple(_follows(act, expert, experts, profile, running))
    )


def _refusal(act: Act, expert: Expert, experts: Mapping[str, Expert]) -> str | None:
    if act is Act.ENABLE:
        return None
    if act is Act.REMOVE and expert.source is ExpertSource.DECLARED:
        return (
            f"{expert.name!r} is declared in the server's experts file: take it out there, or "
            "disable it here"
        )
    action = "removed" if act is Act.REMOVE else "disabled"
    try:
        check_not_needed(expert.name, experts, action=action)
    except RegistryError as error:
        return str(error)
    return None


def _follows(
    act: Act,
    expert: Expert,
    experts: Mapping[str, Expert],
    profile: Profile | None,
    running: int,
) -> Iterator[str]:
    if act is Act.ENABLE:
        yield from _engine_starts(expert)
        return
    if expert.enabled:
        yield from _calls(act, expert, running)
        yield from _engine_ends(expert, experts)
        if not any(e.enabled for e in experts.values() if e.name != expert.name):
            yield "No expert is left: every request is refused until one is enabled."
    if act is Act.REMOVE:
        yield from _forgotten(expert, experts, profile)
    else:
        yield "Its profile stays, and it can be enabled again at any time."


def _calls(act: Act, expert: Expert, running: int) -> Iterator[str]:
    if not running:
        yield "It answers nothing now; it gets no new requests."
    elif act is Act.DRAIN:
        yield f"It gets no new requests; {_count(running, 'call')} it answers now go on to the end."
    elif expert.kind in (ExpertKind.OPENAI, ExpertKind.EMBEDDINGS):
        yield f"It gets no new requests; {_count(running, 'call')} at its server go on."
    else:
        yield f"{_count(running, 'call')} it answers now may be cut off; drain it to let them end."


def _engine_ends(expert: Expert, experts: Mapping[str, Expert]) -> Iterator[str]:
    host = experts.get(expert.host)
    if expert.kind is ExpertKind.VLLM:
        yield "Its engine is stopped, and its memory freed."
    elif host and host.kind is ExpertKind.VLLM:
        yield (
            f"The engine of {host.name!r}, which serves it, may have to start again without it: "
            "what runs there is then cut off."
        )


def _engine_starts(expert: Expert) -> Iterator[str]:
    if expert.kind is ExpertKind.VLLM:
        yield "Its engine is started, which takes a while."
    elif expert.kind not in (ExpertKind.OPENAI, ExpertKind.EMBEDDINGS):
        yield f"The engine of {expert.host!r}, which serves it, may have to start again."


def _forgotten(
    expert: Expert, experts: Mapping[str, Expert], profile: Profile | None
) -> Iterator[str]:
    if profile and profile.overall.n:
        skills = [s for s in profile.skills.values() if s.n > 0]
        yield (
            f"Its profile is forgotten: {_count(round(profile.overall.n), 'graded answer')} in "
            f"{_count(len(skills), 'skill')}.  A new snapshot without it becomes the active one."
        )
    if needing := sorted(e.name for e in experts.values() if expert.name in e.needs):
        yield f"These are made of it and cannot be enabled any more: {', '.join(needing)}."
    yield "What it answered stays in the records of requests.  This cannot be undone."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
