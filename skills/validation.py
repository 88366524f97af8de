"""What makes an entry of the expert registry valid: pure rules over the entry and its neighbours.

Refuses to know whether an endpoint answers or a folder exists: engines find that out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import SplitResult, urlsplit

from coterie.errors import RegistryError
from coterie.types import Expert, ExpertKind
from skills.fusion_rules import fusion_problems

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
RESERVED = "coterie"
MOST_REPLICAS = 64

Experts = Mapping[str, Expert]
"""Experts by name."""


def by_name(experts: Iterable[Expert]) -> dict[str, Expert]:
    """``experts`` by their names."""
    return {expert.name: expert for expert in experts}


def normalised(expert: Expert) -> Expert:
    """``expert`` with its endpoints in the one form that is kept: no trailing slash, no ``/v1``.

    A list of one is that one.
    """
    kept = tuple(url.strip().rstrip("/").removesuffix("/v1") for url in expert.endpoints)
    if len(kept) == 1 and expert.endpoint is None:
        return replace(expert, endpoint=kept[0], endpoints=())
    if expert.endpoint is None:
        return replace(expert, endpoints=kept) if kept else expert
    endpoint = expert.endpoint.strip().rstrip("/").removesuffix("/v1")
    return replace(expert, endpoint=endpoint, endpoints=kept)


def check(expert: Expert, others: Experts) -> None:
    """Raises :class:`RegistryError` naming everything that is wrong with ``expert``."""
    problems = [
        *_name_problems(expert),
        *_KIND_PROBLEMS[expert.kind](expert, others),
        *_number_problems(expert),
        *_limit_problems(expert),
        *_key_problems(expert),
        *_twin_problems(expert, others),
    ]
    if problems:
        raise RegistryError(f"expert {expert.name!r} is refused: {'; '.join(problems)}")


def check_all(experts: Experts, changed: Iterable[str]) -> None:
    """Checks the experts named in ``changed``, and every other that is made of one of them."""
    changed = set(changed)
    for expert in experts.values():
        if expert.name in changed or expert.needs & changed:
            check(expert, experts)


def check_not_needed(name: str, experts: Experts, *, action: str) -> None:
    """Raises :class:`RegistryError` if enabled adapters or fusions cannot do without ``name``.

    A small model of a fusion may be disabled: its weights are there all the same.
    """
    others = [e for e in experts.values() if e.enabled and e.name != name]
    hosted = sorted(e.name for e in others if e.host == name)
    made_of_it = sorted(e.name for e in others if name in e.needs and action != "disabled")
    if hosted:
        _refuse(name, hosted, action, "run on its engine", "runs on its engine")
    if made_of_it:
        _refuse(name, made_of_it, action, "are made of it", "is made of it")


def _refuse(name: str, needing: list[str], action: str, many: str, one: str) -> None:
    raise RegistryError(
        f"expert {name!r} cannot be {action}: {_names(needing)} "
        f"{one if len(needing) == 1 else many}; disable or remove "
        f"{'that one' if len(needing) == 1 else 'those'} first"
    )


# --- the rules ----------------------------------------------------------------------------------


def _name_problems(expert: Expert) -> Iterator[str]:
    if expert.name == RESERVED or expert.name.startswith(f"{RESERVED}/"):
        yield f"the name {RESERVED!r} and names under {RESERVED + '/'!r} are what clients ask for"
    elif not NAME.fullmatch(expert.name):
        yield (
            "a name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and starts with a letter or a digit"
        )


def _openai_problems(expert: Expert, others: Experts) -> Iterator[str]:
    yield from _server_problems(expert)
    yield from _missing(expert, "model")
    yield from _misplaced(expert, "base", "adapter", "engine_args", "fusion")


def _vllm_problems(expert: Expert, others: Experts) -> Iterator[str]:
    yield from _missing(expert, "model")
    yield from _misplaced(
        expert, "endpoint", "endpoints", "base", "adapter", "api_key_env", "fusion"
    )


def _lora_problems(expert: Expert, others: Experts) -> Iterator[str]:
    yield from _misplaced(expert, "endpoint", "endpoints", "api_key_env", "engine_args", "fusion")
    base = others.get(expert.base or "")
    if not expert.base:
        yield "kind 'lora' needs 'base', the expert whose engine serves it"
    elif expert.base == expert.name:
        yield "an adapter cannot be its own base"
    elif base is None:
        yield f"its base {expert.base!r} is not registered; known are {_names(_bases(others))}"
    elif what := _NO_BASES.get(base.kind):
        yield (
            f"its base {expert.base!r} is {what} itself; use what that one runs on, "
            f"one of {_names(_bases(others))}"
        )
    else:
        yield from _missing(expert, "adapter" if base.kind is ExpertKind.VLLM else "model")
        if base.kind is ExpertKind.OPENAI and expert.adapter:
            yield (
                f"the server of its base {expert.base!r} loads adapters itself; "
                "leave out 'adapter' and give the 'model' id it has there"
            )
        if expert.enabled and not base.enabled:
            yield (
                f"it is enabled, but its base {expert.base!r} is not; "
                "enable the base or disable the adapter"
            )


def _fusion_problems(expert: Expert, others: Experts) -> Iterator[str]:
    yield from _misplaced(
        expert,
        "model",
        "endpoint",
        "endpoints",
        "base",
        "adapter",
        "api_key_env",
        "engine_args",
    )
    yield from fusion_problems(expert, others)


_NO_BASES = {
    ExpertKind.LORA: "an adapter",
    ExpertKind.FUSION: "a fusion",
    ExpertKind.EMBEDDINGS: "an embedding model",
}
"""The kinds that no adapter runs on."""
_KIND_PROBLEMS = {
    ExpertKind.OPENAI: _openai_problems,
    ExpertKind.EMBEDDINGS: _openai_problems,
    ExpertKind.VLLM: _vllm_problems,
    ExpertKind.LORA: _lora_problems,
    ExpertKind.FUSION: _fusion_problems,
}


def _server_problems(expert: Expert) -> Iterator[str]:
    if not expert.servers:
        yield "kind 'openai' needs 'endpoint', the URL of its server, such as http://host:8000"
    elif expert.endpoint and expert.endpoints:
        yield "it has both 'endpoint' and 'endpoints'; list all of its servers in 'endpoints'"
    elif len(expert.endpoints) > MOST_REPLICAS:
        yield f"it has more than {MOST_REPLICAS} 'endpoints'; put a balancer before them"
    addresses = [_server(endpoint) for endpoint in expert.servers]
    if len(set(addresses)) < len(addresses):
        yield "two of its 'endpoints' are the same; list each server once"
    told = [problem for endpoint in expert.servers for problem in _endpoint_problems(endpoint)]
    yield from dict.fromkeys(told)


def _endpoint_problems(endpoint: str) -> Iterator[str]:
    url = _split(endpoint)
    if url is None or url.scheme not in ("http", "https") or not url.hostname:
        yield "its endpoint is not an http(s) URL such as http://host:8000"
    elif url.username is not None or url.password is not None:
        yield (
            "its endpoint holds credentials; put the key into an environment variable and name "
            "that in 'api_key_env'"
        )
    elif url.query or url.fragment:
        yield "its endpoint ends in a query or fragment; leave out what follows the path"


def _split(endpoint: str) -> SplitResult | None:
    try:
        url = urlsplit(endpoint)
        _ = url.port  # parsed only when asked for
    except ValueError:
        return None
    return url


def _missing(expert: Expert, *names: str) -> Iterator[str]:
    for name in names:
        if not getattr(expert, name):
            yield f"kind {expert.kind.value!r} needs {name!r}"


def _misplaced(expert: Expert, *names: str) -> Iterator[str]:
    for name in names:
        if getattr(expert, name):
            yield f"kind {expert.kind.value!r} takes no {name!r}; leave it out"


def _number_problems(expert: Expert) -> Iterator[str]:
    for name in ("context_length", "total_params_b", "active_params_b"):
        value = getattr(expert, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            yield f"{name!r} is {value!r}, but must be above 0"
    for name in ("prompt_price", "completion_price"):
        value = getattr(expert, name)
        if not (value >= 0 and math.isfinite(value)):
            yield f"{name!r} is {value!r}, but must be 0 or more US dollars per million tokens"


def _limit_problems(expert: Expert) -> Iterator[str]:
    limits = expert.limits
    if limits and not (
        limits.concurrency >= 1 and limits.queue >= 0 and 0 < limits.queue_s < 86400
    ):
        yield (
            "its 'limits' make no sense: 'concurrency' is 1 or more, 'queue' 0 or more, 'queue_s' "
            "above 0 and under a day"
        )


def _key_problems(expert: Expert) -> Iterator[str]:
    # The value is never echoed: it may be the key itself.
    if expert.api_key_env is not None and not ENV_NAME.fullmatch(expert.api_key_env):
        yield (
            "'api_key_env' must be the name of an environment variable, such as OPENAI_API_KEY; "
            "if that was a key, revoke it and keep the new one in the environment"
        )


def _twin_problems(expert: Expert, others: Experts) -> Iterator[str]:
    for other in others.values():
        if other.name != expert.name and _identities(other) & _identities(expert):
            yield (
                f"{other.name!r} is the same model on the same engine already; "
                "two names for one model would vote twice"
            )


def _identities(expert: Expert) -> set[tuple[str | None, ...]]:
    """What is asked in the end: two experts that share one are one model under two names."""
    if expert.kind is ExpertKind.LORA:
        return {(expert.kind, expert.base, expert.adapter or expert.model)}
    if expert.fusion:
        return {(expert.kind, repr(expert.fusion))}
    servers = [_server(endpoint) for endpoint in expert.servers] or [None]
    return {(expert.kind, server, expert.model) for server in servers}


def _server(endpoint: str) -> str | None:
    url = _split(endpoint)
    return f"{url.scheme}://{url.netloc.lower()}{url.path.rstrip('/')}" if url else None


def _bases(experts: Experts) -> list[str]:
    serving = (ExpertKind.OPENAI, ExpertKind.VLLM)
    return sorted(e.name for e in experts.values() if e.kind in serving)


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
