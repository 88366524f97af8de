"""The environment and the experts file: whether everything they say is allowed."""

from __future__ import annotations

from collections.abc import Mapping

from coterie.errors import ConfigurationError
from coterie.types import Expert
from orchestrator.doctor.finding import Finding
from orchestrator.experts_file import load_experts
from orchestrator.settings import Settings


def read_settings(variables: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """The settings without those that are wrong: the rest can be looked at all the same."""
    problems = Settings.problems(variables)
    found = [
        Finding.fail("configuration", told, f"correct {name}, or unset it")
        for name, told in problems.items()
    ]
    right = {name: value for name, value in variables.items() if name not in problems}
    if not found:
        found = [Finding.ok("configuration", "every variable is known, every value allowed")]
    return Settings.load(right), found


def read_experts_file(settings: Settings) -> tuple[tuple[Expert, ...], list[Finding]]:
    """The experts that the file declares; none where it cannot be read."""
    subject = "experts file"
    try:
        declared = load_experts(settings.config, settings.environ).experts
    except ConfigurationError as error:
        return (), [Finding.fail(subject, str(error), "mend the file, or set COTERIE_CONFIG")]
    told = f"{settings.config}: {len(declared)} declared"
    return declared, [Finding.ok(subject, told)]
