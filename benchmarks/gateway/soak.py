"""Coterie under a steady load while its experts fail: what it holds at the end, and what it lost.

    PYTHONPATH=. .venv/bin/python benchmarks/gateway/soak.py [--minutes 30] [--rps 50]

One expert is sound; another answers 500, breaks off, talks nonsense, hangs up, or says nothing, in
turn.  Prints what clients saw, the memory over time (unique set size), and what is left
once nobody asks any more: requests in progress, connections to clients and to experts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import aiohttp
import httpx
import psutil
import uvloop

from benchmarks.gateway import peers

WARM_SHARE = 0.2
"""How much of the time counts as warming up."""
MOST_AT_ONCE = 500
"""Requests that may be open at a time: more would say that nothing is answered any more."""
LEAVING_SHARE = 0.02
"""How many callers hang up before they are answered."""


@dataclass
class Seen:
    """Of all requests: how they ended, and what the process held, with the seconds passed."""

    ends: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


async def one(http: aiohttp.ClientSession, url: str, number: int, seen: Seen) -> None:
    """One request, plain or streamed; some callers leave at once."""
    asked = {
        "model": "coterie",
        "messages": [{"role": "user", "content": f"What is {number} plus 1?"}],
        "stream": number % 3 == 0,
    }
    began = time.perf_counter()
    leaves = random.random() < LEAVING_SHARE
    try:
        async with asyncio.timeout(0.005 if leaves else 60):
            async with http.post(f"{url}/v1/chat/completions", json=asked) as response:
                text = await response.text()
                broken = '"error"' in text
                whole = response.status == 200 and not broken
                seen.ends["answered" if whole else f"{response.status}, error"] += 1
    except TimeoutError:
        seen.ends["left" if leaves else "no answer in 60 s"] += 1
    except aiohttp.ClientError as error:
        seen.ends[type(error).__name__] += 1
    seen.took_s.append(time.perf_counter() - began)


async def load(url: str, pid: int, seconds: float, rps: float, every_s: float) -> Seen:
    """Requests at a steady rate, however long each takes."""
    seen, server, going = Seen(), psutil.Process(pid), set[asyncio.Task[None]]()
    began, sampled = time.monotonic(), 0.0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for number in count():
            due = began + number / rps
            if due - began > seconds:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(going) >= MOST_AT_ONCE:
                seen.ends["not sent: too many wait"] += 1
                continue
            task = asyncio.create_task(one(http, url, number, seen))
            going.add(task)
            task.add_done_callback(going.discard)
            passed = time.monotonic() - began
            if passed >= sampled:
                seen.memory.append((passed, server.memory_full_info().uss / 2**20))
                sampled = passed + every_s
        await asyncio.gather(*going)
    return seen


def left(url: str, pid: int, ports: set[int]) -> dict[str, int]:
    """What is open: requests, and connections to clients and to experts."""
    metrics = httpx.get(f"{url}/metrics", headers={"connection": "close"}, trust_env=False).text
    [gauge] = [m for m in metrics.splitlines() if m.startswith("coterie_requests_in_progress ")]
    open_ = [
        c for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED
    ]
    here = int(url.rpartition(":")[2])
    return {
        "requests": int(float(gauge.split()[1])) - 1,  # this very one
        "to clients": sum(c.laddr.port == here for c in open_),
        "to experts": sum(bool(c.raddr) and c.raddr.port in ports for c in open_),
    }


def at_rest(url: str, pid: int, ports: set[int], within_s: float = 30) -> dict[str, int]:
    """What is left when nobody has asked anything for a while."""
    until = time.monotonic() + within_s
    while any((found := left(url, pid, ports)).values()) and time.monotonic() < until:
        time.sleep(0.5)
    return found


def growth(seen: Seen) -> float:
    """The median of the last tenth over that of the first tenth after warming up, less 1."""
    passed = seen.memory[-1][0]
    warm = [mib for at, mib in seen.memory if at >= WARM_SHARE * passed]
    tenth = max(1, len(warm) // 10)
    return statistics.median(warm[-tenth:]) / statistics.median(warm[:tenth]) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rps", type=float, default=50.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between looks at memory")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sound = stack.enter_context(peers.upstream("--chunks", "8"))
        failing = stack.enter_context(peers.upstream("--chunks", "8", "--fails"))
        experts = {"failing": failing, "sound": sound}
        server = stack.enter_context(
            peers.coterie(experts, folder, COTERIE_REQUEST_TIMEOUT_S="2", COTERIE_METRICS_OPEN="1")
        )
        seen = uvloop.run(load(server.url, server.pid, args.minutes * 60, args.rps, args.every))
        ports = {int(u.rpartition(":")[2]) for u in (sound, failing)}
        every = max(1, len(seen.memory) // 12)
        told = {
            "requests": sum(seen.ends.values()),
            "ends": dict(seen.ends),
            "p50_ms": round(statistics.median(seen.took_s) * 1000, 1),
            "memory_mib": [round(mib, 1) for _, mib in seen.memory[::every]],
            "growth": round(growth(seen), 4),
            "left": at_rest(server.url, server.pid, ports),
        }
        print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
