"""A sentence model distilled to a vector a token, by a tiny one that is made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coterie.errors import ConfigurationError
from coterie.types import Question, Skill
from skills.encoder import SentenceEncoder, load_encoder
from skills.infer import EmbeddingInference
from skills.static_encoder import StaticEncoder

WORDS = ["what", "is", "the", "sum", "of", "two", "and", "three", "cats", "dogs", "bark", "purr"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sentence model of one small layer and random weights."""
    transformers = pytest.importorskip("transformers", reason="needs coterie[embed]")
    models = pytest.importorskip("sentence_transformers.models", reason="needs coterie[embed]")
    from sentence_transformers import SentenceTransformer

    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    transformers.BertTokenizerFast(str(vocabulary)).save_pretrained(folder / "bert")
    config = transformers.BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(config).save_pretrained(folder / "bert")
    word = models.Transformer(str(folder / "bert"))
    pooling = models.Pooling(config.hidden_size)
    SentenceTransformer(modules=[word, pooling], device="cpu").save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def encoder(model: Path, cache: Path) -> StaticEncoder:
    found = load_encoder(f"static:{model}", cache)
    assert isinstance(found, StaticEncoder)
    return found


def test_vectors_have_length_one_whatever_the_text_is_made_of(encoder: StaticEncoder) -> None:
    found = encoder.encode(["what is the sum", "cats purr", "dogs"])
    assert found.shape[0] == 3
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_text_is_the_mean_of_its_words(encoder: StaticEncoder) -> None:
    cats, cats_twice, swapped, straight = encoder.encode(
        ["cats", "cats cats", "purr cats", "cats purr"]
    )
    np.testing.assert_allclose(cats, cats_twice, atol=1e-6)
    np.testing.assert_allclose(swapped, straight, atol=1e-6)
    assert abs(float(cats @ straight)) < 1 - 1e-3


def test_a_text_without_words_resembles_nothing(encoder: StaticEncoder) -> None:
    assert not encoder.encode([""]).any()


def test_what_was_distilled_is_kept(
    encoder: StaticEncoder, model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = encoder.encode(["cats purr"])
    monkeypatch.setattr("skills.static_encoder.subprocess.run", None)
    np.testing.assert_array_equal(StaticEncoder(str(model), cache).encode(["cats purr"]), before)


def test_a_model_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="COTERIE_EMBEDDING_MODEL"):
        StaticEncoder(str(tmp_path / "nowhere"), tmp_path).encode(["x"])


def test_without_the_prefix_the_sentence_model_itself_embeds(tmp_path: Path) -> None:
    assert isinstance(load_encoder("package:x", tmp_path), SentenceEncoder)


async def test_a_skill_is_found_by_its_words(encoder: StaticEncoder) -> None:
    skills = [
        Skill("sums", "the sum of two and three", ("what is the sum",)),
        Skill("cats", "cats"),
    ]
    found = await EmbeddingInference(skills, encoder).infer(Question.of("cats cats"))
    assert found.skills[0].skill == "cats"
