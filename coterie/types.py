"""The nouns of Coterie: frozen values without I/O.

A *question* needs *skills*; a *route* says which *experts* are asked and why; each returns a
*completion*; the aggregator turns completions into one *answer*.  Nothing here knows about HTTP,
databases or models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import IntEnum, StrEnum
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

OVERALL = "*"
"""The pseudo-skill under which an expert's rate over all questions is kept."""


# --- what is asked ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, kept whole.

    ``content`` is the text, or the list of parts OpenAI's API allows; ``fields`` holds everything
    else the caller sent (``name``, ``tool_calls`` ...), so that nothing is lost on the way.
    """

    role: str
    content: JSON
    fields: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of this turn; parts that are not text are left out."""
        if isinstance(self.content, str):
            return self.content
        if not isinstance(self.content, Sequence):
            return ""
        parts = (part for part in self.content if isinstance(part, Mapping))
        return "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")

    def as_dict(self) -> dict[str, JSON]:
        """The message in OpenAI's form."""
        return {"role": self.role, "content": self.content, **self.fields}


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation that ends with the turn to be answered."""

    messages: tuple[Message, ...]

    @classmethod
    def of(cls, text: str, *, system: str | None = None) -> Question:
        """A one-turn question, with a system prompt where one is given."""
        turns = [Message("system", system)] if system else []
        return cls((*turns, Message("user", text)))

    @property
    def text(self) -> str:
        """The last user turn: what routing looks at."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a completion is drawn; ``None`` leaves the choice to the expert's own defaults.

    ``extra`` holds further fields of OpenAI's chat request, passed on untouched (``tools``,
    ``response_format``, ``logprobs`` ...).
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    extra: Mapping[str, JSON] = field(default_factory=dict)

    def over(self, defaults: Sampling) -> Sampling:
        """These settings, with ``defaults`` where they are silent."""
        return Sampling(
            temperature=self.temperature if self.temperature is not None else defaults.temperature,
            top_p=self.top_p if self.top_p is not None else defaults.top_p,
            max_tokens=self.max_tokens if self.max_tokens is not None else defaults.max_tokens,
            stop=self.stop or defaults.stop,
            seed=self.seed if self.seed is not None else defaults.seed,
            extra={**defaults.extra, **self.extra},
        )


# --- who can be asked ---------------------------------------------------------------------------


class ExpertKind(StrEnum):
    """Where an expert runs."""

    OPENAI = "openai"
    """Any server that speaks OpenAI's chat API."""
    EMBEDDINGS = "embeddings"
    """An embedding model of such a server; never chatted with."""
    VLLM = "vllm"
    """A vLLM engine that Coterie starts, watches and stops."""
    LORA = "lora"
    """A LoRA adapter served by the engine of its base expert."""
    FUSION = "fusion"
    """A large expert's engine, its logits shifted token by token by small models beside it."""


class Capability(StrEnum):
    """What a request may need of an expert beyond answering text with text."""

    TOOLS = "tools"
    """Calls tools, and reads what they gave back."""
    IMAGES = "images"
    AUDIO = "audio"
    VIDEO = "video"
    FILES = "files"
    """Takes parts of that kind in a message."""
    JSON_SCHEMA = "json_schema"
    """Keeps a ``response_format`` of that type."""
    LOGPROBS = "logprobs"
    """Tells how probable its tokens were."""

    @classmethod
    def named(cls, names: Sequence[str] | None) -> tuple[Capability, ...] | None:
        """Those of these names; None where nobody has said."""
        return None if names is None else tuple(map(cls, names))


class ExpertSource(StrEnum):
    """Who owns an expert's entry."""

    DECLARED = "declared"
    """The configuration file: it is refreshed from there at every start."""
    MANAGED = "managed"
    """The API: the configuration file never touches it."""


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A small model of a fusion.

    Either ``expert`` names a registered one (``vllm``, or ``lora`` on such), or ``model`` says
    whose weights (Hugging Face id, folder or ``package:NAME``), ``adapter`` which LoRA folder goes
    on top.  ``prompt`` is text it reads before the conversation, which makes an expert of a base:
    worked examples.  ``dtype`` is what it computes in, where that is not its weights' own;
    ``overrides`` replaces values of the weights' own configuration; ``params_b`` is its billions of
    parameters.
    """

    model: str = ""
    expert: str | None = None
    adapter: str | None = None
    prompt: str | None = None
    dtype: str | None = None
    overrides: Mapping[str, JSON] = field(default_factory=dict)
    params_b: float | None = None
    name: str = ""

    @property
    def label(self) -> str:
        """What it is called in traces: its name, or the last part of what it is made of."""
        made_of = self.expert or (self.adapter or self.model).removeprefix("package:")
        return self.name or made_of.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class FusionSpec:
    """What a ``fusion`` is made of: z = z_large + Σ α_t (z_expert,t − z_base), and how α is found.

    ``large`` names the ``vllm`` expert whose engine serves it; ``mode`` is the mode's JSON, with
    its ``kind``.  A contrast has no experts, its base being the amateur; a log-linear mixture needs
    no base.
    """

    large: str
    base: SmallModel | None
    experts: tuple[SmallModel, ...] = ()
    mode: Mapping[str, JSON] = field(default_factory=lambda: {"kind": "dynamic"})

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> FusionSpec:
        """The one that :func:`as_jsonable` wrote."""
        base = record["base"] and SmallModel(**record["base"])
        experts = tuple(SmallModel(**expert) for expert in record["experts"])
        return cls(record["large"], base, experts, record["mode"])

    @property
    def parts(self) -> tuple[SmallModel, ...]:
        """The small models, the base first."""
        return ((self.base,) if self.base else ()) + self.experts


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an expert is asked at a time.

    ``concurrency`` calls go on at once, ``queue`` more wait, each for ``queue_s`` seconds at most.
    """

    concurrency: int
    queue: int = 64
    queue_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Expert:
    """One model that can be asked, as the registry keeps it.

    ``endpoint`` is the base URL of its server, up to and without ``/v1`` (``openai`` only);
    ``endpoints`` are those of its replicas, where there are several: the same model on each;
    ``model`` is the model id there, or for ``vllm`` the weights' Hugging Face id, folder or
    ``package:NAME``; ``base`` names the expert whose engine serves a ``lora``, and ``adapter`` is
    the adapter's folder; ``fusion`` is what a ``fusion`` is made of.  Parameters are in billions
    (of a fusion: of all its models together), prices in US dollars per million tokens,
    ``context_length`` in tokens.  ``api_key_env`` is the *name* of an environment variable; the key
    itself is never kept.  ``examples`` are a few prompts of those it was trained on.  ``recruit``
    says whether it is asked without being named.  ``limits`` bound how much it is asked at a time;
    None leaves that to its server.  ``capabilities`` is all that it can do but text; None: nobody
    has said.
    """

    name: str
    kind: ExpertKind
    model: str
    endpoint: str | None = None
    base: str | None = None
    adapter: str | None = None
    description: str = ""
    context_length: int | None = None
    total_params_b: float | None = None
    active_params_b: float | None = None
    prompt_price: float = 0.0
    completion_price: float = 0.0
    api_key_env: str | None = None
    defaults: Sampling = field(default_factory=Sampling)
    engine_args: Mapping[str, JSON] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    enabled: bool = True
    examples: tuple[str, ...] = ()
    source: ExpertSource = ExpertSource.DECLARED
    fusion: FusionSpec | None = None
    recruit: bool = True
    endpoints: tuple[str, ...] = ()
    limits: Limits | None = None
    capabilities: tuple[Capability, ...] | None = None

    @property
    def servers(self) -> tuple[str, ...]:
        """The base URLs of its servers, however many it has; none but for ``openai``."""
        return self.endpoints or ((self.endpoint,) if self.endpoint else ())

    @property
    def chats(self) -> bool:
        """Whether it answers questions; what does not, embeds texts."""
        return self.kind is not ExpertKind.EMBEDDINGS

    @property
    def recruited(self) -> bool:
        """Whether routing may choose it; one that is enabled without is asked by name alone."""
        return self.enabled and self.recruit and self.chats

    @property
    def host(self) -> str:
        """The expert whose engine answers for this one: itself, its base, or its large model."""
        return self.fusion.large if self.fusion else self.base or self.name

    @property
    def needs(self) -> frozenset[str]:
        """The other experts this one is made of: its host, and the small models of a fusion."""
        small = {part.expert for part in self.fusion.parts if part.expert} if self.fusion else set()
        return frozenset(small | {self.host}) - {self.name}

    def cost_usd(self, usage: Usage) -> float:
        """What ``usage`` costs with this expert, in US dollars."""
        prompt = usage.prompt_tokens * self.prompt_price
        return (prompt + usage.completion_tokens * self.completion_price) / 1e6


# --- who is good at what ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Skill:
    """A named ability; inference compares a question to its description and examples."""

    name: str
    description: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SkillWeight:
    """How much of a question one skill is: ``weight`` in [0, 1]; a question's sum to 1.

    ``similarity`` is the evidence: the cosine to the skill, or the share of keyword samples.
    """

    skill: str
    weight: float
    similarity: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A probability of success: posterior ``mean`` and ``sd`` after ``n`` graded answers."""

    mean: float
    sd: float
    n: float


@dataclass(frozen=True, slots=True)
class Effort:
    """What one answer of an expert takes, on average over ``n`` answers; None: never measured."""

    prompt_tokens: float | None
    completion_tokens: float | None
    latency_s: float | None
    n: float


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of one expert: its rate over everything, and per skill where it was graded.

    A skill only others were graded on has an estimate with ``n`` 0: its level, and how hard it is.
    ``aggregation`` is its success at making one answer of many, another skill than answering;
    ``aggregation_skills`` the same where answers to questions of one skill are made one.
    """

    expert: str
    overall: Estimate
    skills: Mapping[str, Estimate] = field(default_factory=dict)
    effort: Effort | None = None
    aggregation: Estimate | None = None
    aggregation_skills: Mapping[str, Estimate] = field(default_factory=dict)

    def at(self, skill: str) -> Estimate:
        """The estimate for ``skill``; the overall one where the skill was never graded."""
        return self.skills.get(skill, self.overall)

    def aggregating(self, skills: Sequence[SkillWeight]) -> float:
        """Expected success at making one answer of many to a question of these skills.

        What the weights leave, and a skill without trials, count as the rate over all trials.
        """
        overall = self.aggregation or self.overall
        known = [(s.weight, self.aggregation_skills.get(s.skill, overall)) for s in skills]
        rest = 1 - sum(weight for weight, _ in known)
        return rest * overall.mean + sum(weight * found.mean for weight, found in known)


class Reading(IntEnum):
    """How an answer was read out of a completion: lower is surer."""

    NOTHING = 0
    """Nothing could be read."""
    STATED = 1
    """In the form that was asked for: "the answer is (B)", a boxed result, JSON alone."""
    NAMED = 2
    """In a form of the expert's own: "Answer: B", a short reply that is nothing but the answer."""
    GUESSED = 3
    """By the last resort of whoever read it."""


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """One expert's answer to one validation question, graded: the evidence behind a profile.

    Tokens and latency are 0 where nobody measured them.
    """

    expert: str
    task: str
    item: str
    skills: tuple[SkillWeight, ...]
    output: str
    extracted: str | None
    correct: bool
    usage: Usage
    latency_s: float
    reading: Reading = Reading.STATED


# --- who is asked -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a candidate's score, in words and as a number."""

    label: str
    value: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """An expert that could be asked: its ``score`` on this question, the spread, and why.

    The score is what the strategy ranks by; the values of ``terms`` add up to it.  ``chance`` is
    the expert's probability of success in [0, 1], where that is another number than the score.
    """

    expert: str
    score: float
    sd: float
    terms: tuple[Term, ...] = ()
    chance: float | None = None

    @property
    def success(self) -> float:
        """The expert's probability of success on this question, in [0, 1]."""
        return self.score if self.chance is None else self.chance

    @property
    def reason(self) -> str:
        """The terms in words."""
        return " + ".join(term.label for term in self.terms)


@dataclass(frozen=True, slots=True)
class Route:
    """A routing decision: the experts asked first, and in what order others would follow.

    ``candidates`` is every expert that could be asked, best first; ``chosen`` and ``reserve`` name
    experts.  While the vote's agreement is under ``enough``, the next ``step`` of the reserve are
    recruited; ``snapshot`` names the profiles the decision rests on.
    """

    strategy: str
    skills: tuple[SkillWeight, ...]
    candidates: Sequence[Candidate]
    chosen: tuple[str, ...]
    reserve: tuple[str, ...]
    reason: str
    enough: float = 0.9
    step: int = 1
    snapshot: str = ""


# --- what comes back ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the serving engine counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Completion:
    """What one expert answered.

    ``message`` is the whole assistant message, ``logprobs`` what the choice has of that, both in
    OpenAI's form; ``others`` are further choices of the same call, whose tokens ``usage`` counts.
    """

    expert: str
    text: str
    finish_reason: str
    usage: Usage
    latency_s: float
    message: Mapping[str, JSON] = field(default_factory=dict)
    logprobs: JSON = None
    others: tuple[Completion, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed completion; the last one carries ``finish_reason`` and ``usage``.

    ``delta`` is OpenAI's delta object where it holds more than ``text`` (tool calls, say);
    ``logprobs`` are those of its tokens.  ``index`` is the choice it belongs to: all but the first
    have a ``finish_reason`` of their own before the last chunk.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    delta: Mapping[str, JSON] = field(default_factory=dict)
    logprobs: JSON = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """An expert that did not answer, and why: part of the why-record, never hidden.

    ``rejected`` says that its server refused the request itself, with HTTP ``status``, and ``code``
    where it gave one; ``kind`` what kind of error it was ("rejected", "timeout", "unavailable",
    "protocol"), "" where that is not known.  ``usage`` is what the call took all the same, None
    where nobody said.
    """

    expert: str
    error: str
    latency_s: float
    rejected: bool = False
    code: str | None = None
    kind: str = ""
    status: int | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a vote sees of one completion.

    ``answer`` is its canonical form, None where nothing could be read; ``tokens`` is the
    completion's length, None where it is not known.
    """

    expert: str
    answer: str | None
    reading: Reading = Reading.STATED
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an aggregator makes of several completions.

    ``leader`` is the expert whose completion stands for the answer, None where a synthesis is
    needed.  ``agreement`` in [0, 1] is the posterior probability of the leading answer for a vote.
    ``votes`` maps each extracted answer to the experts that gave it.
    """

    leader: str | None
    agreement: float
    votes: Mapping[str, tuple[str, ...]]
    reason: str


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an engine can take work now; ``detail`` says why not."""

    ok: bool
    detail: str = ""


# --- how it is graded ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a task.  ``category`` is the task's own label: no router ever sees it.

    ``about`` is the question alone, without worked examples or instructions: what skills are
    inferred from (the prompt's own text where it is empty).  ``choices`` are the texts of the
    answers to choose from, none for an open question; items of one ``group`` are variants of each
    other.
    """

    id: str
    question: Question
    target: str
    category: str
    about: str = ""
    choices: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Grade:
    """Whether an output was right, and what was read out of it (None: nothing could be)."""

    correct: bool
    extracted: str | None
    reading: Reading = Reading.STATED


_FIELDS: dict[type, tuple[str, ...]] = {}
"""The names of the fields of each dataclass that was met; none of any other type."""


def _field_names(kind: type) -> tuple[str, ...]:
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(f.name for f in fields(kind)) if is_dataclass(kind) else ()
    return _FIELDS[kind]


def as_jsonable(value: Any) -> Any:
    """``value`` (domain types nested at will) as plain dicts, lists and scalars.

    Unlike :func:`dataclasses.asdict` it also takes mappings that cannot be deep-copied.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if names := _field_names(type(value)):
        return {name: as_jsonable(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(k): as_jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_jsonable(v) for v in value]
    return value
