"""Templates become responses here, under a policy that lets nothing run that is not ours."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestrator.api.dashboard import words
from orchestrator.api.dashboard.navigation import ENTRIES

HERE = Path(__file__).parent
STATIC = HERE / "static"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",  # reports, which come with a stricter policy of their own
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",  # what one may see, the next at this machine may not
}


class Pages:
    """The templates.  Whatever is put into one is escaped; a value that is missing is an error."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(words.FILTERS)
        self._environment.globals.update(static=_versions(), navigation=ENTRIES)

    def response(
        self, request: Request, template: str, values: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """``template`` as a response; ``path`` in it is the request's."""
        return HTMLResponse(self.text(request, template, values), status, headers=HEADERS)

    def text(self, request: Request, template: str, values: Mapping[str, Any]) -> str:
        """``template`` filled in, for what is no response of its own."""
        return self._environment.get_template(template).render(path=request.url.path, **values)


def _versions() -> dict[str, str]:
    """Where each file of ``static`` is, with its content's hash: a browser may keep it for good."""
    files = (f for f in STATIC.rglob("*") if f.suffix in (".js", ".css", ".svg"))
    return {
        f.relative_to(STATIC).as_posix(): "/dashboard/static/"
        f"{f.relative_to(STATIC).as_posix()}?v={sha256(f.read_bytes()).hexdigest()[:12]}"
        for f in files
    }
