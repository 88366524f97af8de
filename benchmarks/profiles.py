"""How well profiles foretell answers nobody has graded yet.

    COTERIE_RECORDED=DIR python benchmarks/profiles.py [--benchmark B] [--limits 0,25,12,5]

Fitted on one validation fold and scored on the other, both ways round; the test split is never
read.  A skill is the benchmark's category.  ``limit`` is how many questions of a category profiles
are made of (0: all), the mean over ``--draws`` draws.  Needs pyarrow.

``log loss`` and ``brier``: of each expert on each question of the other fold, in nats and squared.
``off``: mean distance of estimate and rate there, over experts and categories, in points.
``z``: the spread of (rate - estimate) over what ``sd`` and chance allow; over 1 is too sure.
``pick``: accuracy of the expert with the best estimate in each category.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coterie.types import Estimate, Profile, SkillWeight
from skills.estimate import estimate_profiles
from skills.memory import Memory
from skills.profile import Shrinkage, beta_estimate

TEN = [
    "DeepSeek-R1-Distill-Qwen-7B-nothinking",
    "Llama-3-8B-Instruct",
    "Llama-3.1-8B-Instruct",
    "Mistral-7B-Instruct-v0.1",
    "Mistral-7B-Instruct-v0.2",
    "Phi-3-mini-4k-instruct",
    "Qwen1.5-7B-Chat",
    "Yi-6B-Chat",
    "magpie-8b-sft",
    "mathstral-7B",
]
SIXTEEN = [
    *TEN,
    "Llama-3.1-70B-Instruct",
    "Mixtral-8x7B-Instruct",
    "Qwen1.5-72B-Chat",
    "command-r-v01",
    "deepseek-v2-chat",
    "jamba-1.5-large",
]

Method = Callable[[Memory], Sequence[Profile]]


# --- the methods --------------------------------------------------------------------------------


def _counts(memory: Memory) -> Iterator[tuple[str, float, float, dict[str, tuple[float, float]]]]:
    """Each expert with right and asked answers, over all and by category."""
    categories = np.array(memory.categories)
    for column, expert in enumerate(memory.experts):
        graded = memory.correct[:, column]
        by_category = {
            name: (np.nansum(graded[rows]), float((~np.isnan(graded[rows])).sum()))
            for name in np.unique(categories)
            for rows in [categories == name]
        }
        yield expert, float(np.nansum(graded)), float((~np.isnan(graded)).sum()), by_category


def beta(overall: float, skill: float, rate: float = 0.5) -> Method:
    """Beta posteriors with priors of fixed strength: skill to overall, overall to ``rate``."""

    def estimate(memory: Memory) -> Sequence[Profile]:
        found = []
        for expert, right, n, by_category in _counts(memory):
            level = beta_estimate(right, n, prior_mean=rate, prior_n=overall)
            skills = {
                name: beta_estimate(r, k, prior_mean=level.mean, prior_n=skill)
                if skill < np.inf
                else Estimate(level.mean, level.sd, k)
                for name, (r, k) in by_category.items()
            }
            found.append(Profile(expert, level, skills))
        return found

    return estimate


def fitted(shrinkage: Shrinkage | None = None) -> Method:
    """What Coterie does."""
    return lambda memory: estimate_profiles(memory, shrinkage)


METHODS: Mapping[str, Method] = {
    "raw rates": beta(1e-3, 1e-3),
    "overall rate alone": beta(2, np.inf),
    "fixed shrinkage (4)": beta(2, 4),
    "fixed shrinkage (16)": beta(2, 16),
    "estimate_profiles": fitted(),
}


# --- the data -----------------------------------------------------------------------------------


def recorded(folder: Path, benchmark: str, experts: Sequence[str]) -> dict[int, Memory]:
    """The recorded answers to each validation fold's questions."""
    columns = ["qid", "benchmark", "category", "fold", "split"]
    questions = pq.read_table(folder / "questions.parquet", columns=columns).to_pylist()
    kept = [q for q in questions if q["benchmark"] == benchmark and q["split"] == "val"]
    row = {q["qid"]: i for i, q in enumerate(kept)}
    column = {name: i for i, name in enumerate(experts)}
    grid = np.full((len(kept), len(experts)), np.nan, np.float32)
    names = ["qid", "model", "correct"]
    filters = [("benchmark", "=", benchmark), ("model", "in", list(experts))]
    answers = pq.read_table(folder / "responses.parquet", columns=names, filters=filters)
    for answer in answers.to_pylist():
        if answer["qid"] in row:
            grid[row[answer["qid"]], column[answer["model"]]] = answer["correct"]
    folds = np.array([q["fold"] for q in kept])
    whole = memory(tuple(experts), [(q["qid"], q["category"]) for q in kept], grid)
    return {int(fold): whole.at(np.flatnonzero(folds == fold)) for fold in np.unique(folds)}


def memory(
    experts: tuple[str, ...], items: Sequence[tuple[str, str]], correct: NDArray[np.float32]
) -> Memory:
    """Graded answers with the category as the one skill."""
    return Memory(
        experts=experts,
        items=tuple(qid for qid, _ in items),
        categories=tuple(category for _, category in items),
        skills=tuple((SkillWeight(category, 1.0, 1.0),) for _, category in items),
        vectors=np.zeros((len(items), 0), np.float32),
        options=np.zeros(len(items), np.int16),
        correct=correct,
        answers=np.full(correct.shape, ""),
        readings=np.zeros(correct.shape, np.int8),
        tokens=np.full(correct.shape, np.nan, np.float32),
    )


def limited(memory: Memory, limit: int, rng: np.random.Generator) -> Memory:
    """``limit`` questions of each category; 0: all."""
    if not limit:
        return memory
    categories = np.array(memory.categories)
    rows = [
        rng.permutation(np.flatnonzero(categories == name))[:limit]
        for name in np.unique(categories)
    ]
    return memory.at(np.sort(np.concatenate(rows)))


def spared(memory: Memory) -> Memory:
    """Every second expert was asked only what most of the others got right."""
    correct = memory.correct.copy()
    for column in range(0, correct.shape[1], 2):
        others = np.delete(memory.correct, column, axis=1)
        correct[np.nanmean(others, axis=1) < 0.5, column] = np.nan
    return replace(memory, correct=correct)


# --- the scores ---------------------------------------------------------------------------------


def score(profiles: Sequence[Profile], unseen: Memory) -> NDArray[np.float64]:
    """Log loss, Brier score, off, z² and pick on questions the profiles were not made of."""
    by_name = {p.expert: p for p in profiles}
    names, index = np.unique(unseen.categories, return_inverse=True)
    estimates = [[by_name[e].at(name) for e in unseen.experts] for name in names]
    mean = np.array([[e.mean for e in row] for row in estimates])
    sd = np.array([[e.sd for e in row] for row in estimates])
    chance, right = np.clip(mean, 1e-3, 1 - 1e-3)[index], unseen.correct.astype(float)
    known = ~np.isnan(right)
    log_loss = -np.where(right == 1, np.log(chance), np.log1p(-chance))[known].mean()
    n = np.array([known[index == s].sum(axis=0) for s in range(len(names))])
    rate = np.array([np.nanmean(right[index == s], axis=0) for s in range(len(names))])
    z = (rate - mean) / np.sqrt(sd**2 + mean * (1 - mean) / n)
    picked = right[np.arange(len(right)), mean.argmax(axis=1)[index]]
    return np.array(
        [
            log_loss,
            ((chance - right)[known] ** 2).mean(),
            np.abs(rate - mean).mean(),
            (z**2).mean(),
            np.nan_to_num(picked).mean(),
        ]
    )


def compare(
    methods: Mapping[str, Method],
    folds: Mapping[int, Memory],
    change: Callable[[Memory, np.random.Generator], Memory],
    draws: int,
) -> dict[str, NDArray[np.float64]]:
    """Each method's mean scores, fitted on a changed fold and scored on the other one."""
    scores: dict[str, list[NDArray[np.float64]]] = {name: [] for name in methods}
    for seen, unseen in (tuple(folds), tuple(folds)[::-1]):
        for draw in range(draws):
            known = change(folds[seen], np.random.default_rng(draw))
            for name, method in methods.items():
                scores[name].append(score(method(known), folds[unseen]))
    return {name: np.mean(found, axis=0) for name, found in scores.items()}


def show(title: str, scores: Mapping[str, NDArray[np.float64]]) -> None:
    print(f"\n{title}\n{'':26}log loss   brier     off      z    pick")
    for name, (log_loss, brier, off, z, pick) in scores.items():
        print(f"{name:26}{log_loss:8.4f}{brier:8.4f}{100 * off:8.2f}{z**0.5:7.2f}{pick:8.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="mmlu_pro")
    parser.add_argument("--limits", default="0,25,12,5")
    parser.add_argument("--draws", type=int, default=10)
    args = parser.parse_args()
    folder = Path(os.environ["COTERIE_RECORDED"])
    for pool, experts in (("ten", TEN), ("sixteen", SIXTEEN)):
        folds = recorded(folder, args.benchmark, experts)
        start = time.perf_counter()
        estimate_profiles(folds[0])
        took = time.perf_counter() - start
        print(f"\n== {pool}: {[len(m) for m in folds.values()]} questions, {took:.2f} s a fold ==")
        for limit in map(int, args.limits.split(",")):
            title = f"{pool}, {limit or 'all'} questions a category"
            draws = args.draws if limit else 1
            show(title, compare(METHODS, folds, lambda m, r, k=limit: limited(m, k, r), draws))
        title = f"{pool}, every second expert asked easy questions only"
        show(title, compare(METHODS, folds, lambda m, r: spared(m), 1))


if __name__ == "__main__":
    main()
