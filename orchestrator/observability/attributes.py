"""The names of everything a span says.

Those that begin with ``gen_ai``, ``http``, ``url`` and ``error`` are OpenTelemetry's semantic
conventions (GenAI's are still called experimental, which is why they are in one place); those that
begin with ``coterie`` are ours.
"""

from __future__ import annotations

from typing import Final

# --- a request ----------------------------------------------------------------------------------

HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
REQUEST_ID: Final = "coterie.request_id"
CLIENT_REQUEST_ID: Final = "coterie.client_request_id"
KEY_ID: Final = "coterie.key_id"

# --- GenAI --------------------------------------------------------------------------------------

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
TEMPERATURE: Final = "gen_ai.request.temperature"
TOP_P: Final = "gen_ai.request.top_p"
SEED: Final = "gen_ai.request.seed"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
ERROR: Final = "error.type"

CHAT: Final = "chat"
"""The operation of an answer, and of each call made for it."""

# --- routing ------------------------------------------------------------------------------------

EXPERT: Final = "coterie.expert"
ROLE: Final = "coterie.role"
STRATEGY: Final = "coterie.strategy"
SNAPSHOT: Final = "coterie.snapshot"
SKILLS: Final = "coterie.skills"
CHOSEN: Final = "coterie.chosen"
ASKED: Final = "coterie.asked"
AGREEMENT: Final = "coterie.agreement"
OUTCOME: Final = "coterie.outcome"
OVERHEAD_MS: Final = "coterie.overhead_ms"
COST_USD: Final = "coterie.cost_usd"
