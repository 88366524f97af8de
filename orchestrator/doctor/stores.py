"""The database and the queue: whether they answer, and are what this version works with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis.asyncio
from redis.exceptions import AuthenticationError, RedisError

from coterie.db import Database, parse_url
from coterie.errors import ConfigurationError
from coterie.types import Expert
from orchestrator import schema
from orchestrator.doctor.finding import Finding
from orchestrator.settings import Settings, masked
from skills.expert_store import ExpertStore

OLDEST_REDIS = (7, 0)
"""What the queue is tested with is newer; Valkey tells the version of Redis it began from."""
REDIS_TIMEOUT_S = 3.0


async def look_at_database(settings: Settings) -> Finding:
    """Whether the database answers and has the schema of this version."""
    subject, url = "database", settings.database_url
    parsed = parse_url(url)
    named = masked("DATABASE_URL", url)
    file = Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None
    if file and not file.exists():  # connecting would make it
        told = f"{file} does not exist yet"
        return Finding.warn(subject, told, "`coterie serve` or `coterie db upgrade` makes it")
    try:
        found = await schema.current(url)
    except ConfigurationError as error:
        return Finding.fail(subject, str(error), "start the database, or correct DATABASE_URL")
    wanted = schema.head()
    if found == wanted:
        return Finding.ok(subject, f"{named} answers and is at revision {found}, the newest")
    if found is None:
        told = f"{named} answers and holds no tables yet"
        return Finding.warn(subject, told, "`coterie serve` or `coterie db upgrade` makes them")
    if found in schema.revisions():
        told = f"{named} is at revision {found}, this version needs {wanted}"
        return Finding.fail(subject, told, "back it up, then run `coterie db upgrade`")
    told = f"{named} is at revision {found}, which this version does not know"
    return Finding.fail(subject, told, "a newer Coterie made it: install that version")


async def managed_experts(settings: Settings) -> tuple[Expert, ...]:
    """The experts that the database knows; only to be asked of one that is up to date."""
    database = Database(settings.database_url, pool_size=1)
    try:
        return await ExpertStore(database).list()
    finally:
        await database.close()


async def look_at_queue(settings: Settings) -> Finding:
    """Whether the queue that workers share answers, and keeps what it is given."""
    subject, url = "queue", settings.redis_url
    if url is None:
        return Finding.ok(subject, "REDIS_URL is not set: the server works jobs off itself")
    named = masked("REDIS_URL", url)
    client = redis.asyncio.Redis.from_url(
        url, socket_connect_timeout=REDIS_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
    )
    try:
        told: dict[str, Any] = await client.info()
    except AuthenticationError:
        remedy = "correct user and password in REDIS_URL"
        return Finding.fail(subject, f"{named} refuses the password", remedy)
    except (RedisError, OSError, ValueError) as error:
        seen = f"{named} does not answer: {type(error).__name__}"
        return Finding.fail(subject, seen, "start Redis or Valkey there, or correct REDIS_URL")
    finally:
        await client.aclose()
    return _judged(subject, named, told)


def _judged(subject: str, named: str, told: dict[str, Any]) -> Finding:
    version = str(told.get("redis_version", "0"))
    policy = str(told.get("maxmemory_policy", "noeviction"))
    if tuple(map(int, version.split(".")[:2])) < OLDEST_REDIS:
        wanted = ".".join(map(str, OLDEST_REDIS))
        return Finding.fail(subject, f"{named} is version {version}", f"use {wanted} or newer")
    if policy != "noeviction":
        seen = f"{named} answers; maxmemory-policy is {policy}, so queued work may be dropped"
        return Finding.warn(subject, seen, "set maxmemory-policy to noeviction")
    return Finding.ok(subject, f"{named} answers (protocol of Redis {version})")
