"""The HTTP client every engine shares: httpx's interface over aiohttp's faster transport.

One client per fleet, so that connections are reused; proxies, cookies and credentials of the
environment are ignored.  Knows nothing of experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from httpx_aiohttp import AiohttpTransport


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long to wait for an upstream, and how many connections to keep.

    ``read_timeout_s`` is the longest silence between two pieces of an answer (for an answer that
    is not streamed: its whole generation).  ``pool_timeout_s`` is the wait for a free connection,
    the connecting included.  aiohttp has no timeout for writing: a call's own deadline bounds it.
    ``max_connections_per_host`` keeps one stuck upstream from taking every connection.
    ``keepalive_s`` stays under the 5 s after which uvicorn, and so vLLM, closes an idle
    connection: a POST on a connection that is just being closed fails and is not resent.
    """

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 600.0
    pool_timeout_s: float = 30.0
    max_connections: int = 1024
    max_connections_per_host: int = 512
    keepalive_s: float = 4.0

    def timeout(self) -> httpx.Timeout:
        """The same in httpx's form."""
        return httpx.Timeout(
            connect=self.connect_timeout_s,
            read=self.read_timeout_s,
            write=None,
            pool=self.pool_timeout_s,
        )


def create_client(limits: HttpLimits | None = None) -> httpx.AsyncClient:
    """A client to be shared; its owner closes it (``async with`` or ``aclose``).

    It opens nothing before the first request, and belongs to the event loop of that request.
    """
    limits = limits or HttpLimits()
    transport = AiohttpTransport(trust_env=False, client=lambda: _session(limits))
    return httpx.AsyncClient(
        transport=transport,
        timeout=limits.timeout(),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        trust_env=False,
    )


def _session(limits: HttpLimits) -> ClientSession:
    connector = TCPConnector(
        limit=limits.max_connections,
        limit_per_host=limits.max_connections_per_host,
        keepalive_timeout=limits.keepalive_s,
    )
    # All callers share this session: no cookie may travel between them.
    return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False)
