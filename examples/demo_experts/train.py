"""Trains the demo experts: small LoRA adapters over one base model, on the CPU.

Every conversation starts with the same system prompt (the chat template's own), so each step runs
it once and shares its keys and values with the whole batch: the same gradient for half the tokens.
Weights and optimiser are float32; matrix products may run in bfloat16 (``--autocast``).

Run ``python -m examples.demo_experts.train --base MODEL_FOLDER [--skill NAME]``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from examples.demo_experts.generate import SKILLS, TRAINING_SEED, samples
from examples.demo_experts.sample import Sample

BASE_NAME = "SmolLM2-135M-Instruct"
ADAPTERS = Path(__file__).parent / "adapters"
RANK = 6
"""Rank 6 on every linear layer is 3.7 MB in bfloat16, and fits vLLM's ``--max-lora-rank 8``."""

_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_POOL = 8  # batches sorted by length together, so that little of a batch is padding


@dataclass(frozen=True, slots=True)
class Plan:
    """How long one expert is trained: conversations seen, how many a step, and the peak rate."""

    conversations: int
    batch: int = 16
    learning_rate: float = 2e-3

    @property
    def steps(self) -> int:
        return self.conversations // self.batch


PLANS = {
    "arithmetic": Plan(1920),
    "unit-conversion": Plan(1200, batch=8, learning_rate=1.5e-3),
    "sql": Plan(480, batch=8, learning_rate=1.5e-3),
    "datetime": Plan(2000, batch=8, learning_rate=1.5e-3),
    "extraction": Plan(400, batch=8, learning_rate=1.5e-3),
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as tokens, without the shared prefix; the first ``asked`` are the prompt."""

    tokens: tuple[int, ...]
    asked: int


class ChatEncoder:
    """Renders conversations exactly as a server does for a request with one user message."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        one, other = self._prompt("a"), self._prompt("b")
        shared = next(i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y)
        self._text = one[:shared]
        self.prefix = self._tokens(self._text)

    def encode(self, sample: Sample) -> Encoded:
        """The tokens after the prefix, up to and with the token that ends the turn."""
        rest = self._prompt(sample.prompt).removeprefix(self._text)
        asked = self._tokens(rest)
        answer = self._tokens(sample.answer)
        end = self._tokenizer.eos_token_id
        return Encoded((*asked, *answer, int(end)), len(asked))

    def _prompt(self, text: str) -> str:
        turns = [{"role": "user", "content": text}]
        return str(
            self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        )

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def batches(
    stream: Iterator[Sample], plan: Plan, encoder: ChatEncoder, seed: int
) -> Iterator[list[Encoded]]:
    """Batches of conversations of about one length, in a seeded order."""
    rng = Random(seed)
    while True:
        pool = [encoder.encode(sample) for sample in islice(stream, _POOL * plan.batch)]
        pool.sort(key=lambda one: len(one.tokens))
        cuts = [pool[i : i + plan.batch] for i in range(0, len(pool), plan.batch)]
        rng.shuffle(cuts)
        yield from cuts


def answer_loss(model: PeftModel, prefix: torch.Tensor, batch: Sequence[Encoded]) -> torch.Tensor:
    """Mean cross-entropy over the answers' tokens; ``prefix``: (1, tokens)."""
    width = max(len(one.tokens) for one in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    targets = torch.zeros(len(batch), width, dtype=torch.bool)
    real = torch.zeros(len(batch), width, dtype=torch.long)
    for row, one in enumerate(batch):
        ids[row, : len(one.tokens)] = torch.tensor(one.tokens)
        targets[row, one.asked : len(one.tokens)] = True
        real[row, : len(one.tokens)] = 1
    causal: Any = model.get_base_model()
    cache = causal.model(prefix, use_cache=True).past_key_values
    cache.batch_repeat_interleave(len(batch))
    seen = torch.cat([torch.ones(len(batch), prefix.shape[1], dtype=torch.long), real], dim=1)
    hidden = causal.model(ids, past_key_values=cache, attention_mask=seen).last_hidden_state
    # Only positions that predict an answer token reach the large output layer.
    logits = causal.lm_head(hidden[:, :-1][targets[:, 1:]])
    return torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][targets[:, 1:]])


def train(
    stream: Iterator[Sample],
    base: str,
    plan: Plan,
    *,
    name: str,
    seed: int = TRAINING_SEED,
    autocast: bool = True,
    start: Path | None = None,
) -> PeftModel:
    """Trains one expert of ``base`` (a model folder), new or from the adapter in ``start``.

    ``stream`` is what it is trained on, as long as the plan asks; ``name`` is said with progress.
    """
    torch.manual_seed(seed)
    encoder = ChatEncoder(AutoTokenizer.from_pretrained(base))
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    expert = _adapted(model, start)
    if autocast:
        _halve_frozen(expert)
    expert.train()
    weights = [weight for weight in expert.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: _rate(s, plan.steps))
    prefix = torch.tensor([encoder.prefix])
    started = time.monotonic()
    for step, batch in enumerate(islice(batches(stream, plan, encoder, seed), plan.steps), start=1):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = answer_loss(expert, prefix, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 10 == 0 or step == plan.steps:
            spent = time.monotonic() - started
            line = f"{name}: step {step}/{plan.steps}, loss {loss.item():.4f}, {spent:.0f} s"
            print(line, flush=True)
    return expert


def _adapted(model: PreTrainedModel, start: Path | None) -> PeftModel:
    if start is not None:
        return PeftModel.from_pretrained(model, start, is_trainable=True).float()
    config = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules=list(_LINEAR), task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(model, config)
    assert isinstance(adapted, PeftModel)
    return adapted


def _halve_frozen(expert: PeftModel) -> None:
    """Casts frozen matrices once; autocast would do it at every use, to the same numbers."""
    for name, module in expert.named_modules():
        # The output layer's weight is also the embedding, whose sums stay in float32.
        if isinstance(module, torch.nn.Linear) and "lora_" not in name and "lm_head" not in name:
            module.to(torch.bfloat16)


def _rate(step: int, steps: int) -> float:
    """A short warm-up, then a cosine down to a twentieth."""
    return min((step + 1) / 10, 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def save(expert: PeftModel, folder: Path, base_name: str = BASE_NAME) -> None:
    """Writes the adapter in bfloat16, with a configuration that names no path of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: weight.detach().to(torch.bfloat16).contiguous()
        for name, weight in get_peft_model_state_dict(expert).items()
    }
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "base_model_name_or_path": base_name,
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": 2 * RANK,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": RANK,
        "target_modules": sorted(_LINEAR),
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """Trains one expert, or all of them one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="the base model's folder (float32)")
    parser.add_argument("--skill", choices=sorted(SKILLS), action="append", dest="skills")
    parser.add_argument("--out", type=Path, default=ADAPTERS)
    parser.add_argument("--conversations", type=int, help="how many to train on, instead of ours")
    parser.add_argument("--learning-rate", type=float, help="the peak rate, instead of ours")
    parser.add_argument("--seed", type=int, default=TRAINING_SEED)
    parser.add_argument("--resume", action="store_true", help="go on from the adapter in --out")
    parser.add_argument("--autocast", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    for skill in args.skills or SKILLS:
        folder = args.out / skill
        given = {"conversations": args.conversations, "learning_rate": args.learning_rate}
        plan = replace(PLANS[skill], **{key: value for key, value in given.items() if value})
        start = folder if args.resume else None
        expert = train(
            samples(skill, args.seed),
            args.base,
            plan,
            name=skill,
            seed=args.seed,
            autocast=args.autocast,
            start=start,
        )
        save(expert, folder)
        print(f"{skill}: saved to {folder}", flush=True)


if __name__ == "__main__":
    main()
