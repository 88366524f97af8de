"""An error as its HTTP status and OpenAI's error object: the one place that says which is which."""

from __future__ import annotations

from typing import Any

from coterie.errors import (
    AccessDenied,
    BatchError,
    BodyTooLarge,
    BodyTooSlow,
    BodyUnreadable,
    ConfigurationError,
    ContextLengthExceeded,
    CoterieError,
    DuplicateExpert,
    DuplicateSnapshot,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    EveryoneBusy,
    ExpertBusy,
    FileTooLarge,
    Forbidden,
    JobError,
    KeyUnusable,
    ModelNotAllowed,
    NoExpertAvailable,
    NothingAnswered,
    QueueUnavailable,
    QuotaExceeded,
    RateExceeded,
    RegistryError,
    RequestError,
    RoleDenied,
    ServiceStopping,
    SnapshotError,
    StoreUnavailable,
    UnknownBatch,
    UnknownExpert,
    UnknownFile,
    UnknownJob,
    UnknownKey,
    UnknownModel,
    UnknownSnapshot,
)

# First match wins: the narrow before the wide.
STATUS: tuple[tuple[type[CoterieError], int, str, str | None], ...] = (
    (UnknownModel, 404, "invalid_request_error", "model_not_found"),
    (UnknownFile, 404, "invalid_request_error", "file_not_found"),
    (FileTooLarge, 413, "invalid_request_error", "file_too_large"),
    (BodyTooLarge, 413, "invalid_request_error", "request_too_large"),
    (BodyTooSlow, 408, "invalid_request_error", "request_too_slow"),
    (BodyUnreadable, 400, "invalid_request_error", "unreadable_body"),
    (ContextLengthExceeded, 400, "invalid_request_error", "context_length_exceeded"),
    (RequestError, 400, "invalid_request_error", None),
    (UnknownExpert, 404, "invalid_request_error", "expert_not_found"),
    (DuplicateExpert, 409, "invalid_request_error", "expert_exists"),
    (RegistryError, 400, "invalid_request_error", "expert_refused"),
    (UnknownSnapshot, 404, "invalid_request_error", "snapshot_not_found"),
    (DuplicateSnapshot, 409, "invalid_request_error", "snapshot_exists"),
    (SnapshotError, 400, "invalid_request_error", "snapshot_refused"),
    (UnknownJob, 404, "invalid_request_error", "job_not_found"),
    (JobError, 409, "invalid_request_error", "job_refused"),
    (UnknownBatch, 404, "invalid_request_error", "batch_not_found"),
    (BatchError, 409, "invalid_request_error", "batch_refused"),
    (ConfigurationError, 400, "invalid_request_error", None),
    (Forbidden, 403, "permission_error", "forbidden"),
    (UnknownKey, 404, "invalid_request_error", "key_not_found"),
    (KeyUnusable, 400, "invalid_request_error", "key_refused"),
    (RoleDenied, 403, "permission_error", "role_not_allowed"),
    (ModelNotAllowed, 403, "permission_error", "model_not_allowed"),
    (RateExceeded, 429, "rate_limit_error", "rate_limit_exceeded"),
    (QuotaExceeded, 429, "insufficient_quota", "insufficient_quota"),
    (AccessDenied, 401, "authentication_error", "invalid_api_key"),
    (EveryoneBusy, 429, "rate_limit_error", "overloaded"),
    (NoExpertAvailable, 503, "service_unavailable", "no_expert_available"),
    (ServiceStopping, 503, "service_unavailable", "shutting_down"),
    (NothingAnswered, 502, "api_error", "empty_answer"),
    (QueueUnavailable, 503, "service_unavailable", "queue_unavailable"),
    (StoreUnavailable, 503, "service_unavailable", "database_unavailable"),
    (ExpertBusy, 429, "rate_limit_error", "expert_busy"),
    (EngineUnavailable, 503, "service_unavailable", "expert_unavailable"),
    (EngineTimeout, 504, "service_unavailable", "expert_timeout"),
    (CoterieError, 502, "api_error", "expert_failed"),
)


def status_and_body(error: CoterieError) -> tuple[int, dict[str, Any]]:
    """The HTTP status and OpenAI error object of ``error``."""
    status, kind, code = next((s, k, c) for t, s, k, c in STATUS if isinstance(error, t))
    if isinstance(error, EngineRejected):
        # A 401 or 403 there is the operator's trouble with the expert, not this caller's.
        status = error.status if error.status in (400, 404, 413, 422) else 502
        code = error.code or code
        kind = "invalid_request_error" if status != 502 else kind
    return status, error_body(str(error), kind, getattr(error, "param", None), code)


def error_body(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
