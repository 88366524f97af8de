"""By how much one strategy beats another on recorded answers, question by question.

    COTERIE_RECORDED=DIR python benchmarks/versus.py symbolic symbolic-paper [--experts a,b]

Both are learned from the profile split and asked the test split, as in ``coterie eval replay``;
the interval is that of a paired bootstrap (95 %, seed 0).  Needs ``coterie[replay]``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from evals.recorded import load_recording
from evals.stats import paired_difference
from orchestrator.replay.embeddings import KeptEncoder
from orchestrator.replay.evaluate import Plan, profile_rows
from orchestrator.replay.lesson import Lesson
from orchestrator.replay.material import Material, study
from orchestrator.replay.session import run
from orchestrator.routing import Policy, load_router
from orchestrator.settings import Settings
from skills.encoder import load_encoder
from skills.infer import EmbeddingInference
from skills.taxonomy import DEFAULT_TAXONOMY


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours")
    parser.add_argument("theirs")
    parser.add_argument("--benchmark", default="mmlu_pro")
    parser.add_argument("--experts", help="comma-separated; everyone who answered if not given")
    parser.add_argument("--most", type=int, default=sys.maxsize, help="calls a question, at most")
    parser.add_argument("--vote", default="learned")
    args = parser.parse_args()
    material = read(args.benchmark, args.experts)
    most = min(args.most, len(material.experts))
    policy = Policy(first=min(3, most), most=most)
    lesson = Lesson(material, profile_rows(material, Plan()))
    test = material.recording.rows("test")
    vote = lesson.vote(args.vote)
    runs = [
        run(load_router(name), vote, lesson.pool, material, test, policy)
        for name in (args.ours, args.theirs)
    ]
    gain = paired_difference(runs[0].right, runs[1].right, seed=0)
    for name, found in zip((args.ours, args.theirs), runs, strict=True):
        print(f"{name}: {found.right.mean():.4f}, {found.asked.sum(axis=1).mean():.2f} calls")
    print(f"difference: {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] (n={len(test)})")


def read(benchmark: str, experts: str | None) -> Material:
    """The recording, understood as ``coterie eval replay`` does; its kept embeddings are used."""
    settings = Settings.load()
    folder = Path(os.environ["COTERIE_RECORDED"])
    names = experts.split(",") if experts else None
    name = settings.embedding_model
    encoder = KeptEncoder(
        load_encoder(name, settings.cache_dir), name, settings.cache_dir / "embeddings"
    )
    recording = load_recording(folder, benchmark=benchmark, experts=names)
    return study(recording, EmbeddingInference(DEFAULT_TAXONOMY, encoder))


if __name__ == "__main__":
    main()
