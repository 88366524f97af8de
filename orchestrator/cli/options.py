"""What several commands take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

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


def the_client() -> Client:
    """The client of the server that the environment describes."""
    return Client.of(the_settings())


def listed(values: Sequence[str] | None) -> list[str]:
    """The names in ``values``, each of which may hold several, separated by commas."""
    names = (name.strip() for value in values or () for name in value.split(","))
    return list(dict.fromkeys(name for name in names if name))
