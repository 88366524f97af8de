"""What the aggregator's first token waits for besides the aggregator.

    python benchmarks/first_token.py [--requests 200] [--think-ms 50]

An upstream on the loopback plays three experts, which answer in prose after 20, 40 and 60 ms, and
the aggregator, which begins to write after ``--think-ms``.  Upstream, Coterie and the client each
are a process of their own.  For every streamed request the upstream's clock says when the last
expert had answered; the client's, which is the same, when the first token came.  In turn with it
the aggregator is asked directly, with the same prompt: its own first token is the bound.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from typing import Any

import httpx

from benchmarks.serving import server, upstream

UPSTREAM = """
import asyncio, json, sys, time, uvicorn
DELAY_S = {"a": 0.02, "b": 0.04, "c": 0.06}
THINK_S = float(sys.argv[2])
PROSE = "Autumn leaves are falling down and nobody is here to see it but the old grey cat. " * 8
USAGE = {"prompt_tokens": 20, "completion_tokens": 150, "total_tokens": 170}
SEEN = {"experts": 0.0, "asked": 0.0, "written": 0.0, "body": None}

def whole():
    message = {"role": "assistant", "content": PROSE}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": USAGE}).encode()

def event(choices, **more):
    return b"data: " + json.dumps({"choices": choices, **more}).encode() + b"\\n\\n"

def delta(text, reason=None):
    return event([{"index": 0, "delta": {"content": text}, "finish_reason": reason}])

async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)

    async def answer(content, kind=b"application/json", more=False):
        head = {"type": "http.response.start", "status": 200}
        await send({**head, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": content, "more_body": more})

    if scope["path"] == "/seen":
        await answer(json.dumps(SEEN).encode())
    elif scope["method"] == "GET":
        await answer(b"{}")
    elif not json.loads(body).get("stream"):
        await asyncio.sleep(DELAY_S[json.loads(body)["model"]])
        await answer(whole())
        SEEN["experts"] = max(SEEN["experts"], time.monotonic())
    else:
        SEEN["asked"], SEEN["body"] = time.monotonic(), json.loads(body)
        await asyncio.sleep(THINK_S)
        SEEN["written"] = time.monotonic()
        await answer(delta("So "), b"text/event-stream", True)
        rest = [delta("it is. ") for _ in range(20)]
        rest += [delta("", "stop"), event([], usage=USAGE), b"data: [DONE]\\n\\n"]
        for piece in rest:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False,
            lifespan="off")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--think-ms", type=float, default=50.0, help="until the aggregator writes")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        upstream(UPSTREAM, str(args.think_ms / 1000)) as port,
        server(folder, port, "abc") as own,
    ):
        rows = asyncio.run(measured(own, port, min(args.requests, 10_000)))
    through, bound = ([row[i] for row in rows] for i in (0, 1))
    added = [t - b for t, b in rows]
    print("| first token, ms | p50 | p90 | p99 |")
    print("|---|---|---|---|")
    named = (
        ("after the last expert, through Coterie", through),
        ("of the aggregator asked directly (bound)", bound),
        ("added", added),
    )
    for name, values in named:
        cuts = statistics.quantiles(values, n=100)
        print(f"| {name} | {cuts[49]:.2f} | {cuts[89]:.2f} | {cuts[98]:.2f} |")


async def measured(own: int, upstream_port: int, requests: int) -> list[tuple[float, float]]:
    """Milliseconds to the first token: after the last expert, and asked directly."""
    rows: list[tuple[float, float]] = []
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        for i in range(requests + 10):
            question = [{"role": "user", "content": f"Tell me of autumn number {i}."}]
            asked = {"model": "coterie/all", "messages": question, "stream": True}
            came, _ = await first_token(http, own, asked)
            seen = (await http.get(f"http://127.0.0.1:{upstream_port}/seen")).json()
            through = came - seen["experts"]
            came, began = await first_token(http, upstream_port, seen["body"])
            if i >= 10:  # the first ones warm both up
                rows.append((through * 1000, (came - began) * 1000))
    return rows


async def first_token(
    http: httpx.AsyncClient, port: int, body: dict[str, Any]
) -> tuple[float, float]:
    """When the first token came, and when it was asked for; seconds on the machine's clock."""
    url, began, came = f"http://127.0.0.1:{port}/v1/chat/completions", time.monotonic(), 0.0
    async with http.stream("POST", url, json=body) as response:
        if response.status_code != 200:
            raise RuntimeError((await response.aread()).decode())
        async for line in response.aiter_lines():
            if not came and '"content"' in line and "So " in line:
                came = time.monotonic()
    if not came:
        raise RuntimeError("no token came")
    return came, began


if __name__ == "__main__":
    main()
