"""The command `coterie`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGES = ("coterie", "skills", "aggregator", "evals", "orchestrator")


def main() -> None:
    """Runs the command line; errors of ours end it with their message and exit status 1."""
    strangers = foreign_packages()
    if strangers:
        sys.exit(
            "coterie: these packages are not Coterie's own: "
            + ", ".join(f"{name} (from {place})" for name, place in strangers.items())
            + ". Another distribution, or a folder on the path, has taken their names: install "
            "coterie in a virtual environment of its own, and run it from another folder."
        )
    from orchestrator.cli.commands import run

    run()


def foreign_packages() -> dict[str, str]:
    """Our packages' names that resolve to somebody else's code, with where that is.

    ``skills``, ``evals`` and the like are names other distributions use as well.
    """
    home = Path(__file__).resolve().parents[2]
    found: dict[str, str] = {}
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin) if spec and spec.origin else None
        if origin is None or origin.resolve().parent.parent != home:
            found[name] = str(origin or "nowhere")
    return found
