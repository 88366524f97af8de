"""The dashboard: pages for whoever runs Coterie, made on the server, alive through htmx.

Every page is behind :mod:`~orchestrator.api.dashboard.guard`: a session, a role, and on every
change a token that no other site can know.  Templates escape whatever they are given; scripts and
styles come from ``static`` alone, which the policy in
:mod:`~orchestrator.api.dashboard.rendering` enforces.
"""

from orchestrator.api.dashboard.application import install

__all__ = ["install"]
