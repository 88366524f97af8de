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

from orchestrator.networks import Networks

MOST_BYTES = 64 * 1024 * 1024
"""The largest answer that is read; what is larger is nobody's chat completion."""

ANYWHERE = Networks()


class AnswerTooLarge(httpx.DecodingError):
    """An upstream sent more than :data:`MOST_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"it sent more than {MOST_BYTES} bytes")


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


def create_client(
    limits: HttpLimits | None = None, networks: Networks = ANYWHERE
) -> httpx.AsyncClient:
    """A client to be shared; its owner closes it (``async with`` or ``aclose``).

    It connects to ``networks`` alone and follows no redirects.  It opens nothing before the first
    request, and belongs to the event loop of that request.
    """
    limits = limits or HttpLimits()
    transport = AiohttpTransport(trust_env=False, client=lambda: _session(limits, networks))
    return httpx.AsyncClient(
        transport=transport,
        timeout=limits.timeout(),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        trust_env=False,
        follow_redirects=False,
    )


async def fetch(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """The whole answer to ``request``; raises :class:`AnswerTooLarge` rather than keep it all."""
    return await read_whole(await client.send(request, stream=True))


async def read_whole(response: httpx.Response) -> httpx.Response:
    """The rest of an answer that has begun, which is over then; raises like :func:`fetch`."""
    try:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MOST_BYTES:
                raise AnswerTooLarge
    finally:
        await response.aclose()
    # As it was decoded: the headers tell of what went over the wire.
    told = {name: response.headers[name] for name in _KEPT if name in response.headers}
    return httpx.Response(response.status_code, headers=told, content=bytes(body))


_KEPT = ("content-type", "retry-after")


def _session(limits: HttpLimits, networks: Networks) -> ClientSession:
    connector = TCPConnector(
        limit=limits.max_connections,
        limit_per_host=limits.max_connections_per_host,
        keepalive_timeout=limits.keepalive_s,
        socket_factory=networks.socket_factory,
    )
    # All callers share this session: no cookie may travel between them.
    return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False)
