"""``GET /``: a small page that says what runs here.  The dashboard will take its place."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from coterie.types import OVERALL, Expert, Profile
from orchestrator.api.deps import ForReader
from orchestrator.parts import Parts

router = APIRouter()
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Coterie</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c1c28; background: #fff; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #ddd;
          vertical-align: top; }}
code {{ background: #f2f2f6; padding: .1rem .3rem; border-radius: .2rem; }}
.ok {{ color: #176b34; }} .down {{ color: #a12020; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e8e8f0; background: #16161e; }}
  code {{ background: #26263a; }} .ok {{ color: #6fce8e; }} .down {{ color: #ff8c8c; }} }}
</style></head><body>
<h1>Coterie</h1>
<p>Ask <code>POST /v1/chat/completions</code> with <code>"model": "coterie"</code>; the why of an
answer is at <code>/v1/routes/ID</code>, with the id from its <code>x-request-id</code> header.</p>
<table><thead><tr><th>Expert</th><th>Kind</th><th>State</th><th>Good at</th></tr></thead>
<tbody>{rows}</tbody></table>
</body></html>"""


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def page(parts: ForReader) -> HTMLResponse:
    """The experts, their state, and what they are measured to be good at."""
    health = await parts.fleet.health()
    rows = []
    for name, expert in sorted(parts.roster.snapshot.experts.items()):
        found = health.get(name)
        state = ("ok", "ok") if found and found.ok else ("down", found.detail if found else "")
        rows.append(_row(expert, state, _strengths(parts, name)))
    return HTMLResponse(
        PAGE.format(rows="".join(rows)), headers={"Content-Security-Policy": POLICY}
    )


def _row(expert: Expert, state: tuple[str, str], strengths: str) -> str:
    css, detail = state if expert.enabled else ("down", "disabled")
    cells = (
        f"<strong>{escape(expert.name)}</strong><br>{escape(expert.description)}",
        escape(expert.kind.value),
        f'<span class="{css}">{escape(detail or "down")}</span>',
        escape(strengths),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _strengths(parts: Parts, name: str) -> str:
    profile: Profile | None = parts.roster.snapshot.knowledge.profiles.get(name)
    if profile is None:
        return "no profile yet"
    best = sorted(profile.skills.items(), key=lambda pair: -pair[1].mean)[:3]
    told = [f"{skill} {e.mean:.2f} ± {e.sd:.2f}" for skill, e in best if skill != OVERALL]
    return ", ".join(told) or f"overall {profile.overall.mean:.2f}"
