"""The HTTP client every engine shares: httpx's interface over aiohttp's faster transport, and that
transport itself for the questions.

One client per fleet, so that connections are reused; proxies, cookies and credentials of the
environment are ignored.  Knows nothing of experts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import map_aiohttp_exceptions

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


class Answer:
    """An answer whose head is there; whoever has it closes it."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.ok = 200 <= response.status < 300

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, decompressed; raises what httpx would."""
        with map_aiohttp_exceptions():
            async for piece in self._response.content.iter_any():
                yield piece

    async def whole(self) -> Whole:
        """All of it, which is over then; raises :class:`AnswerTooLarge` rather than keep more."""
        body, size = [], 0
        try:
            with map_aiohttp_exceptions():
                async for piece in self._response.content.iter_any():
                    body.append(piece)
                    size += len(piece)
                    if size > MOST_BYTES:
                        raise AnswerTooLarge
        finally:
            await self.aclose()
        return Whole(self.status, self.headers, b"".join(body))

    async def aclose(self) -> None:
        """Hangs up where the body was not read to its end."""
        with map_aiohttp_exceptions():
            self._response.release()
            await self._response.wait_for_close()


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer, body and all."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Client(httpx.AsyncClient):
    """httpx's client, and past it a shorter way for what is sent with every question.

    httpx takes longer to write a request and to read an answer than it takes to choose an expert.
    What :meth:`send_now` raises is what httpx would raise.
    """

    def __init__(self, limits: HttpLimits, networks: Networks) -> None:
        self._way = _Way(limits, networks)
        super().__init__(
            transport=self._way,
            timeout=limits.timeout(),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            trust_env=False,
            follow_redirects=False,
        )

    async def send_now(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """The beginning of the answer."""
        with map_aiohttp_exceptions():
            response = await self._way.session.request(
                method, url, headers=headers, data=body, allow_redirects=False
            )
        return Answer(response)


class _Way(AiohttpTransport):
    """One session for both ways, made when the first request is."""

    def __init__(self, limits: HttpLimits, networks: Networks) -> None:
        super().__init__(trust_env=False, client=lambda: _session(limits, networks))

    @property
    def session(self) -> ClientSession:
        if not isinstance(self.client, ClientSession):
            self.client = self.get_client()
        return self.client


def create_client(limits: HttpLimits | None = None, networks: Networks = ANYWHERE) -> Client:
    """A client to be shared; its owner closes it (``async with`` or ``aclose``).

    It connects to ``networks`` alone and follows no redirects.  It opens nothing before the first
    request, and belongs to the event loop of that request.
    """
    return Client(limits or HttpLimits(), networks)


def _session(limits: HttpLimits, networks: Networks) -> ClientSession:
    connector = TCPConnector(
        limit=limits.max_connections,
        limit_per_host=limits.max_connections_per_host,
        keepalive_timeout=limits.keepalive_s,
        socket_factory=networks.socket_factory,
    )
    timeout = ClientTimeout(
        sock_connect=limits.connect_timeout_s,
        sock_read=limits.read_timeout_s,
        connect=limits.pool_timeout_s,
    )
    # All callers share this session: no cookie may travel between them.
    return ClientSession(
        connector=connector, cookie_jar=DummyCookieJar(), timeout=timeout, trust_env=False
    )
