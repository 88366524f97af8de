"""Who calls, and what they may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    CHAT = "chat"
    JOBS = "jobs"
    VIEWER = "viewer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    id: str
    name: str
    role: Role
    contents: Literal["whole", "hashed", "none"] = "whole"
