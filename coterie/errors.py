"""Every error Coterie raises on purpose.

CoterieError
├── ConfigurationError          a value in the environment or a file is not allowed
├── RegistryError               the expert registry refuses an entry
│   ├── UnknownExpert
│   └── DuplicateExpert
├── SnapshotError               a snapshot of the profiles cannot be made, used or removed
│   ├── UnknownSnapshot
│   └── DuplicateSnapshot
├── RequestError                the caller must change the request
│   ├── UnknownModel
│   ├── UnknownFile
│   ├── FileTooLarge
│   ├── BodyTooLarge
│   ├── BodyTooSlow
│   ├── BodyUnreadable
│   └── ContextLengthExceeded
├── JobError                    a job cannot be made, changed or gone on with
│   └── UnknownJob
├── BatchError                  a batch or its file cannot be changed now
│   └── UnknownBatch
├── NoExpertAvailable           nothing enabled, or everyone asked has failed
│   └── EveryoneBusy            all that could be asked have as much to do as they may
├── ServiceStopping             the server ends: another one, or its successor, may be asked
├── NothingAnswered             everyone asked has answered, with nothing
├── QueueUnavailable            the work queue cannot be reached: may be retried
├── StoreUnavailable            the database cannot be reached: may be retried
├── EngineError                 one expert could not answer
│   ├── EngineUnavailable       may be retried: not reachable, overloaded, restarting
│   │   ├── Unreachable         no connection
│   │   ├── CircuitOpen         it has failed too often just now to be asked
│   │   └── ExpertBusy          as many calls wait for it as may
│   ├── EngineTimeout           may be retried
│   ├── EngineRejected          its server refused the request: asking again is no use
│   └── EngineProtocolError     its server's answer made no sense
├── AccessDenied                no key, or not the right one
│   ├── KeyRefused              it was revoked, or has expired
│   ├── RoleDenied              a key, but not one for this
│   ├── ModelNotAllowed         a key, but not for this model
│   └── Forbidden               the key is right, but how it was asked is not
├── LimitExceeded               a key has used what it may
│   ├── RateExceeded            in a minute
│   └── QuotaExceeded           in its budget's period
└── KeyUnusable                 a key cannot be made or changed so
    └── UnknownKey

A message says what happened, why, and the next step.  None carries a secret.
"""

from __future__ import annotations

from collections.abc import Mapping

from coterie.types import Usage


class CoterieError(Exception):
    """What went wrong, why, and what to do about it."""


class ConfigurationError(CoterieError):
    """A configured value is not allowed; the message names key, value and what is allowed."""


class RegistryError(CoterieError):
    """The expert registry refuses an entry."""


class UnknownExpert(RegistryError):
    """No expert of that name is registered."""


class DuplicateExpert(RegistryError):
    """An expert of that name is registered already."""


class SnapshotError(CoterieError):
    """A snapshot of the profiles cannot be made, used or removed."""


class UnknownSnapshot(SnapshotError):
    """No snapshot of that name is kept."""


class DuplicateSnapshot(SnapshotError):
    """A snapshot of that name is kept already."""


class JobError(CoterieError):
    """A job cannot be made, changed or gone on with."""


class UnknownJob(JobError):
    """No job of that id is kept."""


class BatchError(CoterieError):
    """A batch, or a file that it needs, cannot be changed now."""


class UnknownBatch(BatchError):
    """No batch of that id is kept."""


class RequestError(CoterieError):
    """The request cannot be served as it is.  ``param`` names the field at fault."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnknownModel(RequestError):
    """The request names a model that is neither ``coterie``, a strategy, nor an expert."""


class UnknownFile(RequestError):
    """No file of that id is kept."""


class FileTooLarge(RequestError):
    """The file is larger than files may be."""


class BodyTooLarge(RequestError):
    """The request's body is longer than bodies may be."""


class BodyTooSlow(RequestError):
    """The request's body did not come in time."""


class BodyUnreadable(RequestError):
    """The request's body is JSON that nobody means, or what its text says cannot be kept."""


class ContextLengthExceeded(RequestError):
    """The conversation is longer than any expert that could take it allows."""


class NoExpertAvailable(CoterieError):
    """Nobody is left to ask.  ``retry_after_s`` is when asking again may help."""

    def __init__(self, message: str, *, retry_after_s: float = 10.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EveryoneBusy(NoExpertAvailable):
    """Everyone that could be asked has as many calls waiting as may."""


class ServiceStopping(CoterieError):
    """The server is stopping.  ``retry_after_s`` is when asking again may help."""

    def __init__(self, message: str, *, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NothingAnswered(CoterieError):
    """Everyone that was asked came back with an empty answer."""


class QueueUnavailable(CoterieError):
    """The work queue cannot be reached; what was in it is still in the database."""


class StoreUnavailable(CoterieError):
    """The database cannot be reached."""


class EngineError(CoterieError):
    """One expert could not answer.  ``usage`` is what it took all the same, if its server said."""

    retryable = False
    usage: Usage | None = None

    def __init__(self, expert: str, message: str) -> None:
        super().__init__(f"expert {expert!r}: {message}")
        self.expert = expert


class EngineUnavailable(EngineError):
    """The expert's server cannot be reached, is overloaded or is restarting.

    ``retry_after_s`` is the server's own wish, where it gave one.
    """

    retryable = True

    def __init__(self, expert: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(expert, message)
        self.retry_after_s = retry_after_s


class Unreachable(EngineUnavailable):
    """There is no connection to the expert's server."""


class CircuitOpen(EngineUnavailable):
    """All of the expert's servers have failed too often just now: none is asked until one may have
    recovered."""


class ExpertBusy(EngineUnavailable):
    """As many calls of the expert go on, and wait, as may; or this one has waited too long."""


class EngineTimeout(EngineError):
    """The expert did not answer in time."""

    retryable = True


class EngineRejected(EngineError):
    """The expert's server refused the request with HTTP ``status``.

    ``code`` is the server's own error code, ``context_length_exceeded`` among them; ``param`` names
    the field at fault, where that is known.
    """

    param: str | None = None

    def __init__(
        self, expert: str, message: str, *, status: int = 400, code: str | None = None
    ) -> None:
        super().__init__(expert, message)
        self.status = status
        self.code = code


class EngineProtocolError(EngineError):
    """The expert's server answered with something that is not OpenAI's protocol."""


class AccessDenied(CoterieError):
    """The request carries no key, or one that does not allow this."""


class Forbidden(AccessDenied):
    """Whoever asks may do this, but not in this way: another site's page may have asked."""


class KeyRefused(AccessDenied):
    """The key was revoked, or has expired."""


class RoleDenied(AccessDenied):
    """The key is known, and its role does not allow this."""


class ModelNotAllowed(AccessDenied):
    """The key is known, and may not use this model."""


class LimitExceeded(CoterieError):
    """A key has used what it may.  ``retry_after_s`` is when there is more again; ``headers`` tell
    how its limits stand."""

    def __init__(
        self, message: str, *, retry_after_s: float, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})


class RateExceeded(LimitExceeded):
    """More requests or tokens than the key may use in a minute."""


class QuotaExceeded(LimitExceeded):
    """The key's budget for this period is used up, or held back for calls that are not over."""


class KeyUnusable(CoterieError):
    """A key cannot be made, changed or used so.  ``param`` names the field at fault."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnknownKey(KeyUnusable):
    """No key of that id is kept."""
