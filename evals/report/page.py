"""The report as one HTML page that needs nothing else: no network, no files, no running script.

Everything shown is escaped by the template; drawings are cleaned in evals/report/svg.py; and a
Content-Security-Policy lets nothing in but the page's own style and its one script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evals.report import grids
from evals.report.drawing import DrawingFailed, draw
from evals.report.figures import Report
from evals.report.sections import Figure, figures_of, headline, tiles
from evals.report.svg import BadDrawing, embeddable
from evals.report.words import legible


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure with its drawings, none where they could not be made."""

    figure: Figure
    drawings: tuple[Markup, ...]


def report_page(report: Report, *, script: bool = True) -> str:
    """The page of a run; without ``script`` it stands still, and says the same."""
    shown, trouble = drawn(figures_of(report))
    return page(
        "report.html",
        with_script=script,
        title=legible(f"{report.info.task} · {report.info.strategy}"),
        report=report,
        headline=legible(headline(report), 600),
        tiles=[tuple(map(legible, tile)) for tile in tiles(report)],
        shown=in_rows(shown),
        trouble=trouble,
        notes=[legible(note[:1].upper() + note[1:], 600) for note in report.notes],
        parked=grids.parked_grid(report),
        provenance=grids.provenance_grid(report.info),
    )


def in_rows(shown: Sequence[Shown]) -> list[list[Shown]]:
    """The figures row by row: small ones stand beside each other."""
    rows: list[list[Shown]] = []
    for one in shown:
        if rows and one.figure.narrow is None and rows[-1][0].figure.narrow is None:
            rows[-1].append(one)
        else:
            rows.append([one])
    return rows


def page(template: str, *, with_script: bool = True, **values: Any) -> str:
    """A page from one of our templates, under its policy."""
    style, script = _own("page.css"), _own("page.js") if with_script else ""
    values |= {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - files of ours
    return _environment().get_template(template).render(policy=_policy(style, script), **values)


def drawn(figures: Sequence[Figure]) -> tuple[tuple[Shown, ...], str | None]:
    """The figures with their drawings; without any, and why, where they cannot be drawn."""
    wanted = [
        (figure, kind, spec)
        for figure in figures
        for kind, spec in (("wide", figure.wide), ("narrow", figure.narrow))
        if spec is not None
    ]
    try:
        pictures = draw([spec for _, _, spec in wanted])
        made: Mapping[str, list[Markup]] = {figure.id: [] for figure in figures}
        for (figure, kind, _), picture in zip(wanted, pictures, strict=True):
            made[figure.id].append(_picture(figure, kind, picture))
    except (DrawingFailed, BadDrawing) as error:
        return tuple(Shown(figure, ()) for figure in figures), legible(str(error), 600)
    return tuple(Shown(figure, tuple(made[figure.id])) for figure in figures), None


def _picture(figure: Figure, kind: str, drawing: str) -> Markup:
    only = figure.narrow is None
    svg = embeddable(
        drawing,
        prefix=f"{figure.id}-{kind}-",
        label=f"{figure.title}: plot; the table below holds the same figures",
        kind="plot only" if only else f"plot {kind}",
    )
    return Markup(svg)  # noqa: S704 - rebuilt element by element from a list of what is allowed


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("evals.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _safe(value: object) -> object:
    """Whatever text reaches the page is legible; markup is ours."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return legible(str(value), 10_000) if is_text else value


def _own(name: str) -> str:
    """A file of ours that is put into the page as it is."""
    return (files("evals.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
