"""The imitation as a process: ``python -m tests.imitation`` takes vLLM's command line.

Flags of vLLM's that mean nothing here are ignored; flags of its own start with ``--imitate``, and
come through an expert's ``engine_args`` as any other (``imitate_step_s: 0.01``).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import uvicorn

from tests.imitation.app import LoadBody, Refusal, Served, load_adapter, make_app
from tests.imitation.core import CallFailed, Core, Pace
from tests.imitation.fusing import Fusing


def main(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    args = _parse(argv)
    print("imitation started with", json.dumps(list(argv)), flush=True)
    on_gpu = args.imitate_platform == "gpu"
    if args.enable_sleep_mode and not on_gpu:
        # config/model.py
        sys.exit("ValueError: Sleep mode is not supported on current platform.")
    time.sleep(args.imitate_load_s)
    served = make_served(args, environ, on_gpu=on_gpu)
    config = uvicorn.Config(
        make_app(served), host=args.host, port=args.port, log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)

    def end() -> None:
        server.should_exit = True

    served.on_death = end
    if args.imitate_killed_after_s:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, args.imitate_killed_after_s)
    server.run()


def make_served(args: argparse.Namespace, environ: Mapping[str, str], *, on_gpu: bool) -> Served:
    """What the command line and the environment ask for, adapters loaded."""
    pace = Pace(
        **{f.name: getattr(args, f"imitate_{f.name}") for f in fields(Pace) if f.name != "seats"},
        seats=args.max_num_seqs,
    )
    rank = args.max_lora_rank if args.enable_lora else None
    served = Served(
        Core(pace, on_gpu=on_gpu, max_lora_rank=rank),
        name=args.served_model_name,
        model=args.model,
        max_model_len=args.max_model_len,
        dev_mode=bool(int(environ.get("VLLM_SERVER_DEV_MODE", "0"))),
        runtime_lora=bool(int(environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "0"))),
        words=(args.imitate_least_words, args.imitate_most_words),
    )
    served.core.dies_on = args.imitate_dies_on
    served.log = args.imitate_log
    speculative = bool(args.speculative_config or args.spec_method or args.spec_model)
    served.fusing = Fusing.of(
        args.logits_processors, args.additional_config, speculative=speculative
    )
    for module in map(json.loads, args.lora_modules):
        try:
            load_adapter(served, LoadBody(lora_name=module["name"], lora_path=module["path"]))
        except (Refusal, CallFailed) as error:
            sys.exit(f"ValueError: {error}")  # models/serving.py: init_static_loras
    return served


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", default="imitated")
    parser.add_argument("--served-model-name", default="imitated")
    parser.add_argument("--max-model-len", type=int, default=4096)
    parser.add_argument("--max-num-seqs", type=int, default=256)
    parser.add_argument("--enable-sleep-mode", action=argparse.BooleanOptionalAction)
    parser.add_argument("--enable-lora", action=argparse.BooleanOptionalAction)
    parser.add_argument("--max-lora-rank", type=int, default=16)
    parser.add_argument("--lora-modules", nargs="*", default=[])
    parser.add_argument("--logits-processors", nargs="+", default=[])
    parser.add_argument("--additional-config", type=json.loads, default={})
    parser.add_argument("--speculative-config", "-sc", type=json.loads)
    parser.add_argument("--spec-method")
    parser.add_argument("--spec-model")
    parser.add_argument("--imitate-platform", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--imitate-load-s", type=float, default=0.0)
    parser.add_argument("--imitate-least-words", type=int, default=8)
    parser.add_argument("--imitate-most-words", type=int, default=40)
    parser.add_argument("--imitate-dies-on", help="kills the engine in mid-answer")
    parser.add_argument("--imitate-killed-after-s", type=float, help="SIGKILL to itself")
    parser.add_argument("--imitate-log", type=Path, help="gets a line for each chat request")
    for option in fields(Pace):
        if option.name != "seats":
            flag = f"--imitate-{option.name.replace('_', '-')}"
            parser.add_argument(flag, type=type(option.default), default=option.default)
    return parser.parse_known_args(argv)[0]


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
