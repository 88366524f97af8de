"""What several commands take."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.client import Client
from orchestrator.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The experts file (COTERIE_CONFIG).")
]


def the_settings(config: Path | None = None) -> Settings:
    """The settings in the environment, with another experts file where one is named."""
    settings = Settings.load()
    return settings.with_config(config) if config else settings


@asynccontextmanager
async def the_database() -> AsyncIterator[Any]:
    """The database in the environment, up to date and open: commands on it need no server."""
    from coterie.db import Database
    from orchestrator import schema

    url = the_settings().database_url
    await schema.ensure(url)
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


def the_client() -> Client:
    """The client of the server that the environment describes."""
    return Client.of(the_settings())


def listed(values: Sequence[str] | None) -> list[str]:
    """The names in ``values``, each of which may hold several, separated by commas."""
    names = (name.strip() for value in values or () for name in value.split(","))
    return list(dict.fromkeys(name for name in names if name))
