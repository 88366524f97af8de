"""What simple rules make of recorded answers in the aggregators' trials, and how long prompts get.

    COTERIE_RECORDED=DIR python benchmarks/aggregation.py [--seed 0 --limit 2000 --models a,b]
        [--tokenizer tokenizer.json]

With a tokenizer it also tells how far the estimate of tokens is from what that one makes.

Trials are made as `coterie aggregator bench` makes them, of recorded outputs to MMLU-Pro's
validation questions; nobody is asked.  Needs ``coterie[replay]``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aggregator.fitting import Room
from aggregator.synthesize import Writing, merging_question
from aggregator.token_estimate import counter_of
from coterie.types import GradedAnswer, Item, Question, Reading, SkillWeight, Usage
from evals.recorded import Recording, load_recording
from orchestrator.bench import bench_of
from skills.aggregation import Trial, trials_of
from skills.aggregation_profiler import completion_of
from skills.questions import StoredQuestion

TASK = "mmlu_pro"
SMALL = (
    "DeepSeek-R1-Distill-Qwen-7B-nothinking,Llama-3-8B-Instruct,Llama-3.1-8B-Instruct,"
    "Mistral-7B-Instruct-v0.1,Mistral-7B-Instruct-v0.2,Phi-3-mini-4k-instruct,Qwen1.5-7B-Chat,"
    "Yi-6B-Chat,magpie-8b-sft,mathstral-7B"
)
CONTEXTS = (2048, 4096, 8192)
REPLY = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=SMALL)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokenizer", type=Path, help="a Hugging Face tokenizer.json")
    args = parser.parse_args()
    folder = Path(os.environ["COTERIE_RECORDED"])
    recording = load_recording(folder, benchmark=TASK, experts=args.models.split(","))
    items, questions = read(recording)
    answers = graded(recording, folder / "texts_mmlu_pro.parquet", questions)
    trials = trials_of(answers, items, seed=args.seed, limit=args.limit)
    bench = bench_of(trials, answers, questions, ())
    print(f"{bench.trials} trials of {len(recording.experts)} models' answers, seed {args.seed}")
    for rule in bench.rules:
        print(f"{rule.name:22} all {rule.all}; some right {rule.mixed}")
    for context in CONTEXTS:
        print(f"context {context}: {cut(trials, context):.1%} of prompts with a shortened answer")
    if args.tokenizer:
        print(f"tokens, estimated / counted: {estimated(trials, args.tokenizer)}")


def read(recording: Recording) -> tuple[list[Item], list[StoredQuestion]]:
    """The validation questions; the benchmark's category stands for the skill."""
    items, questions = [], []
    for i in recording.rows("val"):
        options = [f"{'ABCDEFGHIJ'[k]}. {o}" for k, o in enumerate(recording.choices[i])]
        text, category = recording.texts[i], recording.categories[i]
        asked = Question.of("\n".join([text, *options]))
        choices, id = recording.choices[i], recording.items[i]
        items.append(Item(id, asked, recording.targets[i], category, text, choices))
        skills = (SkillWeight(category, 1.0, 1.0),)
        questions.append(StoredQuestion(TASK, id, text, category, skills=skills))
    return items, questions


def graded(
    recording: Recording, texts: Path, questions: Sequence[StoredQuestion]
) -> list[GradedAnswer]:
    """The recorded answers to ``questions`` whose outputs are there."""
    import pyarrow.parquet as pq

    row = {id: i for i, id in enumerate(recording.items)}
    column = {name: i for i, name in enumerate(recording.experts)}
    skills = {q.item: q.skills for q in questions}
    found = []
    only = [("model", "in", list(recording.experts))]
    for given in pq.read_table(texts, filters=only).to_pylist():
        if given["qid"] in skills:
            at = row[given["qid"]], column[given["model"]]
            found.append(_graded(recording, at, given, skills[given["qid"]]))
    return found


def _graded(
    recording: Recording, at: tuple[int, int], given: Any, skills: tuple[SkillWeight, ...]
) -> GradedAnswer:
    tokens = recording.tokens[at]
    return GradedAnswer(
        given["model"],
        TASK,
        given["qid"],
        skills,
        given["output"] or "",
        str(recording.answers[at]) or None,
        bool(recording.correct[at] == 1),
        Usage(0, 0 if tokens != tokens else int(tokens)),
        0.0,
        Reading(int(recording.readings[at])),
    )


def cut(trials: Sequence[Trial], context: int) -> float:
    """The share of prompts in which an answer does not fit as it is."""
    shortened = 0
    for trial in trials:
        shown = [completion_of(a) for a in trial.outputs]
        room = Room(context - REPLY, counter_of(shown))
        prompt = merging_question(trial.item.question, shown, writing=Writing(room))
        shortened += "shortened by about" in prompt.text
    return shortened / len(trials)


def estimated(trials: Sequence[Trial], tokenizer: Path) -> str:
    """Quantiles of how many times the counted tokens of a prompt the estimate is."""
    from tokenizers import Tokenizer

    counted, found = Tokenizer.from_file(str(tokenizer)), []
    for trial in trials:
        shown = [completion_of(a) for a in trial.outputs]
        text = merging_question(trial.item.question, shown).text
        found.append(counter_of(shown)(text) / len(counted.encode(text).ids))
    at = (0, 0.01, 0.5, 0.99, 1)
    return ", ".join(f"{q:g}: {v:.2f}" for q, v in zip(at, np.quantile(found, at), strict=True))


if __name__ == "__main__":
    main()
