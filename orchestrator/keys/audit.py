"""What was changed, by whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.keys.key import Caller


class Audit:
    async def note(
        self, caller: Caller, action: str, target: str, detail: Mapping[str, Any]
    ) -> None:
        return None
