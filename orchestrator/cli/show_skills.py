"""Profiles of one expert or one skill, snapshots and synonyms, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coterie.errors import RequestError
from orchestrator.cli import show
from orchestrator.cli.show import Record


def narrowed(body: dict[str, Any], expert: str | None, skill: str | None) -> dict[str, Any]:
    """The profiles of one expert, or at one skill, where given; refuses unknown names."""
    found = body["profiles"]
    if expert is not None:
        _check("profile of an expert", expert, [p["expert"] for p in found])
        found = [p for p in found if p["expert"] == expert]
    if skill is not None:
        _check("graded skill", skill, sorted({s for p in found for s in p["skills"]}))
        at = [{k: e for k, e in p["skills"].items() if k == skill} for p in found]
        found = [{**p, "skills": skills} for p, skills in zip(found, at, strict=True) if skills]
    return {**body, "profiles": found}


def _check(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise RequestError(
            f"there is no {what} named {name!r}; there is {', '.join(map(repr, known)) or 'none'}"
        )


def expert(profile: Record) -> None:
    """One expert: its skills, the best known first, and what its answers take."""
    estimates = [("overall", profile["overall"])]
    if profile["aggregation"]:
        estimates.append(("aggregation", profile["aggregation"]))
        at = profile.get("aggregation_skills", {}).items()
        estimates += [(f"aggregation, {s}", e) for s, e in sorted(at) if e["n"]]
    estimates += sorted(profile["skills"].items(), key=lambda pair: (-pair[1]["n"], pair[0]))
    rows = [_row(label, e) for label, e in estimates]
    show.table(profile["expert"], ("skill", "success ± sd", "n"), rows)
    if effort := profile["effort"]:
        show.console.print(f"an answer takes {_effort(effort)}", markup=False)


def skill(profiles: Sequence[Record], name: str) -> None:
    """Everybody who was graded at one skill, the best first."""
    ranked = sorted(profiles, key=lambda p: (-p["skills"][name]["mean"], p["expert"]))
    rows = [_row(p["expert"], p["skills"][name]) for p in ranked]
    show.table(name, ("expert", "success ± sd", "n"), rows)


def _row(label: str, estimate: Record) -> tuple[str, str, str]:
    return (label, f"{estimate['mean']:.2f} ± {estimate['sd']:.2f}", f"{estimate['n']:.1f}")


def _effort(effort: Record) -> str:
    known = (
        ("prompt_tokens", "{:.0f} prompt tokens"),
        ("completion_tokens", "{:.0f} tokens"),
        ("latency_s", "{:.2f} s"),
    )
    told = [form.format(effort[key]) for key, form in known if effort[key] is not None]
    return f"{', '.join(told)} (mean of {effort['n']:.0f})"


def snapshots(body: Record) -> None:
    """Every snapshot; the active one is marked."""
    if not body["snapshots"]:
        show.console.print("no snapshots yet: `coterie skills profile` makes one")
        return
    rows = [
        (
            "*" if s["active"] else "",
            s["name"],
            s["created_at"][:19].replace("T", " "),
            str(s["answers"]),
            s["parent"] or "–",
            s["note"],
        )
        for s in body["snapshots"]
    ]
    columns = ("", "name", "made (UTC)", "answers", "parent", "note")
    show.table("Snapshots (* is active)", columns, rows)


def synonyms(body: Record) -> None:
    """Every merge."""
    if not body["synonyms"]:
        show.console.print("no keyword is merged into a skill")
        return
    rows = [(s["keyword"], s["skill"], f"{s['similarity']:.2f}", s["by"]) for s in body["synonyms"]]
    show.table("Synonyms", ("keyword", "is read as", "similarity", "decided by"), rows)


def suggestions(body: Record) -> None:
    """Merges worth deciding on."""
    if not body["suggestions"]:
        show.console.print("no keyword that was named is that near to a skill")
        return
    rows = [(s["keyword"], s["skill"], f"{s['similarity']:.2f}") for s in body["suggestions"]]
    show.table("Suggestions", ("keyword", "could be read as", "similarity"), rows)
