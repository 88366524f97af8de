"""Small models in batches by slot say what each says alone, and give their memory back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from aggregator.fusion import feeds as feeding
from aggregator.fusion.backbone import Backbone, Variant
from aggregator.fusion.configuration import Recipe, SmallModel
from aggregator.fusion.feeds import Feed
from aggregator.fusion.modes import Static
from aggregator.fusion.proof import prove
from aggregator.fusion.sidecar import Party, Reader, Sidecar
from aggregator.fusion.tokens import ListTokens, TensorTokens
from aggregator.fusion.weights import Weights
from coterie.errors import ConfigurationError
from tests.aggregator.fusion.tiny_models import Alone, alone, write_model

pytestmark = pytest.mark.filterwarnings("default")  # of transformers
CPU = torch.device("cpu")


class Trial:
    """A backbone, its model alone, and requests that grow."""

    def __init__(
        self, folder: Path, kind: str, *, slots: int, eager: bool = False, **config: object
    ) -> None:
        path = write_model(folder, kind, seed=3, **config)
        self.weights = Weights.load(SmallModel(path, dtype="float32"), CPU)
        if eager:
            self.weights = Weights(
                AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager")
            )
        self.prefix = (40, 41, 42)
        variants = {"plain": Variant(), "shown": Variant(prefix=self.prefix)}
        self.backbone = Backbone(self.weights, variants, slots=slots, max_length=300)
        model = alone(path)
        self.alone = {"plain": model, "shown": Alone(model.model, self.prefix)}
        self.tokens: dict[int, list[int]] = {}

    def check(self, wanted: list[tuple[int, str]]) -> None:
        """Runs these requests, and compares every row."""
        feeds = [
            Feed(key, small, row, len(self.tokens[key])) for row, (key, small) in enumerate(wanted)
        ]
        lists = [(self.tokens[key][:2], self.tokens[key][2:]) for key, _ in wanted]
        found = self.backbone.run(feeds, ListTokens(lists, CPU))
        for logits, (key, small) in zip(found, wanted, strict=True):
            expected = self.alone[small].logits(self.tokens[key])
            torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["come", "go", "step", "step", "cut"]),
        st.integers(0, 5),
        st.one_of(st.integers(1, 30), st.integers(150, 250)),
    ),
    min_size=6,
    max_size=25,
)


@pytest.mark.parametrize(
    ("kind", "slots", "config"),
    [
        ("qwen2", 16, {}),
        ("qwen2", 3, {}),
        ("llama", 16, {"eager": True}),
        ("mistral", 16, {"sliding_window": 8}),
        (
            "qwen2",
            16,
            {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
        ),
    ],
)
def test_rows_are_what_they_are_alone(
    tmp_path_factory: pytest.TempPathFactory, kind: str, slots: int, config: dict[str, object]
) -> None:
    trial = Trial(tmp_path_factory.mktemp("model"), kind, slots=slots, **config)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(EVENTS)
    def run(events: list[tuple[str, int, int]]) -> None:
        for key in list(trial.tokens):
            trial.backbone.forget(key)
        trial.tokens = {}
        for event, key, number in events:
            if event == "come" and key not in trial.tokens:
                trial.tokens[key] = [(7 * key + i * i) % 90 for i in range(number)]
            elif event == "go" and trial.tokens.pop(key, None):
                trial.backbone.forget(key)
            elif event == "cut" and key in trial.tokens and len(trial.tokens[key]) > 1:
                trial.tokens[key] = trial.tokens[key][:-1]
            elif event == "step" and trial.tokens:
                keys = [key for key in trial.tokens if (key + number) % 5]
                if number % 3 == 0:
                    keys.reverse()
                wanted = [(key, small) for small in ("plain", "shown") for key in keys]
                if wanted:
                    trial.check(wanted)
                for key in keys:
                    trial.tokens[key].append((3 * number + key) % 90)
        assert trial.backbone.held <= slots

    run()


def test_long_prompts_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "PIECE", 5)
    monkeypatch.setattr(feeding, "PASS", 12)
    trial = Trial(tmp_path, "qwen2", slots=8)
    trial.tokens = {key: [(key + i) % 90 for i in range(3 + 6 * key)] for key in range(5)}
    for _ in range(2):
        trial.check([(key, "shown") for key in trial.tokens])
        for tokens in trial.tokens.values():
            tokens.append(17)


def passes_of(trial: Trial) -> list[tuple[int, ...]]:
    """What goes through the model from here on: (rows, tokens) of each pass."""
    shapes: list[tuple[int, ...]] = []
    forward = trial.weights.model.forward

    def counted(*args: object, **kwargs: torch.Tensor) -> object:
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    trial.weights.model.forward = counted
    return shapes


def test_prompts_are_read_once_and_then_one_token_a_step(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "qwen2", slots=8)
    shapes = passes_of(trial)
    trial.tokens = {0: [1, 2, 3], 1: [4, 5, 6, 7]}
    for _ in range(3):
        trial.check([(0, "plain"), (1, "plain")])
        for tokens in trial.tokens.values():
            tokens.append(9)
    assert shapes == [(2, 4), (2, 1), (2, 1)]


def test_a_prompt_of_its_own_is_read_once_for_all_requests(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "qwen2", slots=8)
    shapes = passes_of(trial)
    trial.tokens = {0: [1, 2], 1: [4, 5, 6, 7]}
    trial.check([(0, "shown")])
    trial.backbone.forget(0)
    trial.check([(1, "shown")])
    assert shapes == [(1, len(trial.prefix) + 2), (1, 4)]


def test_memory_is_bounded_and_given_back(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "qwen2", slots=4)
    position = 2 * 2 * 2 * 8 * 4  # layers, keys and values, heads, size, bytes
    trial.tokens = {key: [key] * (20 if key == 3 else 290) for key in range(4)}
    trial.check([(key, "plain") for key in trial.tokens])
    full = trial.backbone.cache_bytes
    assert full <= 4 * 304 * position
    for key in range(3):
        trial.backbone.forget(key)
    trial.check([(3, "plain")])
    assert trial.backbone.cache_bytes < full / 4
    trial.backbone.forget(3)
    assert trial.backbone.cache_bytes == 0


def test_a_long_row_that_rests_is_kept_while_short_ones_go_on(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "qwen2", slots=4)
    trial.tokens = {0: [(i * i) % 90 for i in range(290)], 1: [5, 6, 7]}
    trial.check([(0, "plain")])
    trial.check([(1, "plain")])
    trial.tokens[0].append(8)
    shapes = passes_of(trial)
    trial.check([(0, "plain"), (1, "plain")])
    assert shapes == [(2, 1)]


def test_both_kinds_of_tokens_are_read_alike() -> None:
    rows = [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10]]
    padded = torch.zeros(9, 12, dtype=torch.int32)
    places = [4, 0, 7]
    for place, row in zip(places, rows, strict=True):
        padded[place, : len(row)] = torch.tensor(row)
    lists = ListTokens([(row[:1], row[1:]) for row in rows], CPU)
    asked = ([2, 0, 1], [0, 3, 0], [3, 5, 0])
    expected = torch.tensor([[8, 9, 10], [0, 4, 5], [0, 0, 0]])
    assert torch.equal(lists.take(*asked), expected)
    assert torch.equal(TensorTokens(padded, places).take(*asked), expected)


def test_a_fusion_is_given_its_base_and_its_experts_in_order(tmp_path: Path) -> None:
    one = Trial(tmp_path / "one", "qwen2", slots=8)
    two = Trial(tmp_path / "two", "llama", slots=8)
    sidecar = Sidecar({"plain": one.backbone, "shown": one.backbone, "other": two.backbone})
    two.backbone._variants["other"] = Variant()
    near = Recipe("plain", ("shown", "plain"), Static())
    far = Recipe("plain", ("other", "shown"), Static())
    rows = [[3, 4], [5, 6, 7], [8]]
    parties = [
        Party(near, [Reader(0, 2, 1), Reader(1, 0, 2)]),
        Party(far, [Reader(2, 1, 3)]),
    ]
    tokens = ListTokens([(row, ()) for row in rows], CPU)
    first, second = sidecar.read(parties, tokens)
    assert first.base is not None
    assert second.base is not None
    said = {"plain": one.alone["plain"], "shown": one.alone["shown"], "other": two.alone["plain"]}

    def expected(small: str, *which: int) -> torch.Tensor:
        return torch.stack([said[small].logits(rows[row]) for row in which])

    close = {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(first.base, expected("plain", 2, 0), **close)
    torch.testing.assert_close(first.experts[0], expected("shown", 2, 0), **close)
    torch.testing.assert_close(first.experts[1], expected("plain", 2, 0), **close)
    torch.testing.assert_close(second.base, expected("plain", 1), **close)
    torch.testing.assert_close(second.experts[0], expected("other", 1), **close)
    torch.testing.assert_close(second.experts[1], expected("shown", 1), **close)
    sidecar.forget(0)
    sidecar.forget(1)
    sidecar.forget(2)
    assert not any(backbone.cache_bytes for backbone in sidecar.backbones)


# --- what is refused ------------------------------------------------------------------------------


def test_a_model_that_answers_otherwise_through_slots_is_refused(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "qwen2", slots=2)
    prove(trial.weights, "small model 'small'")
    forward = trial.weights.model.forward

    def forgetful(*args: object, **kwargs: object) -> object:
        kwargs.pop("position_ids", None)  # it counts positions by itself, wrongly
        return forward(*args, **kwargs)

    trial.weights.model.forward = forgetful
    with pytest.raises(ConfigurationError, match="cannot be run in batches by slot"):
        prove(trial.weights, "small model 'small'")


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        Weights.load(SmallModel(str(tmp_path)), CPU)
