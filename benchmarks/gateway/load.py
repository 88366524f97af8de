"""A closed loop of clients, and what they saw.

    python benchmarks/gateway/load.py URL MODEL --connections 16 --seconds 5 [--stream] [--new]

Prints one line of JSON.  ``--new`` asks a question nobody has asked before in every request, else
all ask the same one.  With ``--requests`` every connection asks so often, however long that takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import aiohttp
import uvloop


@dataclass
class Seen:
    """Of all connections: seconds a request took, seconds to its first text, pieces of text."""

    took: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    chunks: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Figures:
    """What is told: milliseconds, and rates per second."""

    requests: int
    rps: float
    p50_ms: float
    p99_ms: float
    first_ms: float
    chunks_per_s: float
    failed: int
    failure: str = ""


def bodies(model: str, *, stream: bool, new: bool) -> Iterator[bytes]:
    """Requests without end."""
    count = time.time_ns()
    while True:
        text = f"What is {count} plus 1?" if new else "What is 41 plus 1?"
        count += 1
        asked = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
        yield json.dumps(asked).encode()


async def ask(http: aiohttp.ClientSession, url: str, body: bytes, seen: Seen) -> None:
    """One request; a failure is noted and not raised."""
    began = time.perf_counter()
    try:
        async with http.post(url, data=body, headers=HEADERS) as response:
            text = b""
            async for piece in response.content.iter_any():
                if not text:
                    seen.first.append(time.perf_counter() - began)
                text += piece
            pieces, whole = text.count(b'"content":"word '), text.rstrip().endswith(ENDINGS)
            pieces += text.count(b'"content": "word ')
            if response.status != 200 or not whole:
                seen.failed.append(f"HTTP {response.status}: {text[-300:]!r}")
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.failed.append(repr(error))
        return
    seen.chunks += pieces
    seen.took.append(time.perf_counter() - began)


HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-anything"}
ENDINGS = (b"}", b"data: [DONE]")


async def load(args: argparse.Namespace) -> Figures:
    seen, given = Seen(), bodies(args.model, stream=args.stream, new=args.new)
    connector = aiohttp.TCPConnector(limit=args.connections)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:

        async def once() -> None:
            await ask(http, args.url, next(given), seen)

        async def connection() -> None:
            left = args.requests
            while left > 0 if left is not None else time.perf_counter() < until:
                await once()
                left = left - 1 if left is not None else None

        if args.requests is None:  # warm
            await asyncio.gather(*(once() for _ in range(args.connections)))
            seen = Seen(failed=seen.failed)
        began = time.perf_counter()
        until = began + args.seconds
        await asyncio.gather(*(connection() for _ in range(args.connections)))
        passed = time.perf_counter() - began
    return figures(seen, passed)


def figures(seen: Seen, passed_s: float) -> Figures:
    cuts = statistics.quantiles(seen.took, n=100) if len(seen.took) > 1 else [0.0] * 99
    return Figures(
        requests=len(seen.took),
        rps=len(seen.took) / passed_s,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        first_ms=statistics.median(seen.first) * 1000 if seen.first else 0.0,
        chunks_per_s=seen.chunks / passed_s,
        failed=len(seen.failed),
        failure=seen.failed[0] if seen.failed else "",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--requests", type=int, help="of each connection, instead of seconds")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--new", action="store_true")
    print(json.dumps(asdict(uvloop.run(load(parser.parse_args())))))


if __name__ == "__main__":
    main()
