"""What the endpoint adds to a request: requests per second and milliseconds over an upstream
that answers at once.

    .venv/bin/python benchmarks/overhead.py [--seconds S]

Upstream, Coterie and the client each are a process of their own on this machine.  Measured in
turn, in the same run: the upstream alone (the bound), an expert by name through Coterie, and the
router, with questions it has seen before (skills cached) and has not (embedded each time).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable

import aiohttp

from benchmarks.serving import server, upstream

UPSTREAM = """
import json, sys, uvicorn
BODY = json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "42"},
                 "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}}).encode()
HEAD = {"type": "http.response.start", "status": 200,
        "headers": [(b"content-type", b"application/json")]}
async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send(HEAD)
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False,
            lifespan="off")
"""
SYSTEMS = ("upstream alone", "expert by name", "routed, question seen", "routed, question new")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="per cell, at most 60")
    parser.add_argument("--rounds", type=int, default=3, help="medians are over these")
    args = parser.parse_args()
    seconds = min(args.seconds, 60.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        upstream(UPSTREAM) as port,
        server(folder, port, ["trivial"]) as own,
    ):
        cells = {(s, c): [] for c in (1, 16) for s in SYSTEMS}
        for _ in range(args.rounds):  # in turn, so that a slow minute hits all alike
            for (system, connections), found in cells.items():
                base = port if system == SYSTEMS[0] else own
                found.append(asyncio.run(load(base, system, connections, seconds)))
    print("| system | connections | requests/s | p50 ms | p99 ms | p50 added ms |")
    print("|---|---|---|---|---|---|")
    for (system, connections), found in cells.items():
        rps, p50, p99 = (statistics.median(column) for column in zip(*found, strict=True))
        bare = statistics.median(r[1] for r in cells[SYSTEMS[0], connections])
        print(
            f"| {system} | {connections} | {rps:.0f} | {p50:.2f} | {p99:.2f} | {p50 - bare:.2f} |"
        )


async def load(port: int, system: str, connections: int, seconds: float) -> tuple[float, ...]:
    """Requests per second, p50 and p99 in ms, over ``seconds``."""
    took: list[float] = []
    body = _bodies(system)
    url = f"http://127.0.0.1:{port}/v1/chat/completions"

    async def one_request(http: aiohttp.ClientSession) -> None:
        started = time.perf_counter()
        async with http.post(url, json=body()) as response:
            await response.read()
            if response.status != 200:
                raise RuntimeError(f"{system}: HTTP {response.status} {await response.text()}")
        took.append((time.perf_counter() - started) * 1000)

    async def one_connection(http: aiohttp.ClientSession) -> None:
        while time.perf_counter() < until:
            await one_request(http)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as http:
        await asyncio.gather(*(one_request(http) for _ in range(connections)))  # warm
        took.clear()
        until = time.perf_counter() + seconds
        await asyncio.gather(*(one_connection(http) for _ in range(connections)))
    cuts = statistics.quantiles(took, n=100)
    return len(took) / seconds, cuts[49], cuts[98]


def _bodies(system: str) -> Callable[[], dict[str, object]]:
    count = time.time_ns()

    def body() -> dict[str, object]:
        nonlocal count
        count += 1
        text = f"What is {count} plus 1?" if system.endswith("new") else "What is 41 plus 1?"
        model = "trivial" if system == "expert by name" else "coterie"
        return {"model": model, "messages": [{"role": "user", "content": text}]}

    return body


if __name__ == "__main__":
    main()
