from __future__ import annotations

import json
from pathlib import Path

import pytest

from aggregator.fusion.vocabulary import shared_size
from coterie.errors import ConfigurationError

WORDS = {"a": 0, "b": 1, "ab": 2, "<end>": 3}


def folder(
    path: Path, words: object = WORDS, added: dict[str, int] | None = None, **model: object
) -> Path:
    path.mkdir()
    extra = [{"id": number, "content": token} for token, number in (added or {}).items()]
    tokenizer = {"model": {"vocab": words, **model}, "added_tokens": extra}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    return path


def test_the_same_vocabulary_is_shared_whole(tmp_path: Path) -> None:
    assert shared_size([folder(tmp_path / "large"), folder(tmp_path / "small")]) == 4


def test_tokens_added_at_the_end_of_one_are_not_shared(tmp_path: Path) -> None:
    large = folder(tmp_path / "large", added={"<end>": 3, "<tool>": 4, "<think>": 5})
    assert shared_size([large, folder(tmp_path / "small")]) == 4


def test_another_token_for_a_number_is_refused_naming_both(tmp_path: Path) -> None:
    small = folder(tmp_path / "small", {**WORDS, "ba": 2, "ab": 4})
    with pytest.raises(ConfigurationError) as refused:
        shared_size([folder(tmp_path / "large"), small])
    assert str(tmp_path / "large") in str(refused.value)
    assert str(small) in str(refused.value)
    assert "2 is 'ab' and 'ba'" in str(refused.value)


def test_other_added_tokens_for_the_same_number_are_refused(tmp_path: Path) -> None:
    large = folder(tmp_path / "large", added={"<tool>": 4})
    small = folder(tmp_path / "small", added={"<image>": 4})
    with pytest.raises(ConfigurationError, match="'<tool>' and '<image>'"):
        shared_size([large, small])


def test_a_larger_vocabulary_of_plain_tokens_is_refused(tmp_path: Path) -> None:
    large = folder(tmp_path / "large", {**WORDS, "ba": 4})
    with pytest.raises(ConfigurationError, match="4 is 'ba' and None"):
        shared_size([large, folder(tmp_path / "small")])


def test_every_small_model_is_compared(tmp_path: Path) -> None:
    folders = [folder(tmp_path / "large"), folder(tmp_path / "base")]
    with pytest.raises(ConfigurationError, match="odd"):
        shared_size([*folders, folder(tmp_path / "odd", {"x": 0})])


def test_pieces_in_a_list_are_numbered_by_their_place(tmp_path: Path) -> None:
    pieces = [[token, -1.0] for token in WORDS]
    assert shared_size([folder(tmp_path / "large", pieces), folder(tmp_path / "small")]) == 4


def test_older_tokenizer_files_are_read_too(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "vocab.json").write_text(json.dumps({"a": 0, "b": 1, "ab": 2}))
    (old / "added_tokens.json").write_text(json.dumps({"<end>": 3}))
    assert shared_size([old, folder(tmp_path / "new")]) == 4


@pytest.mark.parametrize("text", ["", "[]", '{"model": {}}', '{"model": {"vocab": {}}}'])
def test_a_tokenizer_that_cannot_be_read_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"cannot be read .* tokenizer\.json"):
        shared_size([tmp_path])


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs its tokenizer"):
        shared_size([tmp_path])
