"""The machine a worker runs on: its memory, and its GPUs' where NVIDIA's tool tells of them."""

from __future__ import annotations

import asyncio
import shutil
import socket

import psutil

from orchestrator.engines.gpu_report import gpu_memory
from orchestrator.scheduling.told import GpuTold, MachineTold

MIB = 2**20


async def read_machine() -> MachineTold:
    """How the machine is now; takes up to a second where there are GPUs, off the event loop."""
    return await asyncio.to_thread(_read)


def _read() -> MachineTold:
    memory = psutil.virtual_memory()
    gpus = gpu_memory() if shutil.which("nvidia-smi") else ()
    return MachineTold(
        socket.gethostname(),
        float(memory.total - memory.available),
        float(memory.total),
        tuple(GpuTold(name, used * MIB, total * MIB) for name, used, total in gpus),
    )
