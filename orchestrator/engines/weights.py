"""Where weights come from: a hub id, a folder, or a GGUF file inside an installed package.

It knows nothing of engines or experts.  Heavy libraries are loaded only when something must be
converted, and by the process that converts (``python -m orchestrator.engines.weights``).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from coterie.errors import ConfigurationError

PACKAGE_PREFIX = "package:"
"""Marks a model whose weights lie inside an installed Python package."""

_RECORD = "converted_from.json"


def resolve_model(model: str, cache: Path) -> str:
    """What to hand an engine as its model.

    A Hugging Face id or a local folder is returned as it is.  ``package:NAME`` names an installed
    distribution or package that holds exactly one ``.gguf`` file: it is converted once into a
    Hugging Face folder (float32) under ``cache``, whose path is returned.

    Raises:
        ConfigurationError: the package or a converter library is missing, or it does not hold
            exactly one GGUF file.
    """
    if not model.startswith(PACKAGE_PREFIX):
        return model
    source = _packaged_gguf(model.removeprefix(PACKAGE_PREFIX).strip())
    target = cache / source.stem
    origin = _Origin.of(source)
    if _Origin.recorded(target) != origin:
        _convert(source, target, origin)
    return str(target)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Which file a folder was converted from; ``size`` in bytes."""

    file: str
    size: int
    sha256: str

    @classmethod
    def of(cls, source: Path) -> _Origin:
        with source.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return cls(source.name, source.stat().st_size, digest)

    @classmethod
    def recorded(cls, folder: Path) -> _Origin | None:
        try:
            return cls(**json.loads((folder / _RECORD).read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError):
            return None


def _packaged_gguf(name: str) -> Path:
    files = sorted({path.resolve() for root in _roots(name) for path in root.rglob("*.gguf")})
    files = files or _distributed_gguf(name)
    if not files and not _roots(name):
        raise ConfigurationError(
            f"model {PACKAGE_PREFIX + name!r}: no installed package {name!r} was found; "
            f"install it with `pip install {name.replace('_', '-')}`"
        )
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise ConfigurationError(
            f"model {PACKAGE_PREFIX + name!r}: the package must hold exactly one .gguf file, "
            f"found {found}; give the path of a model folder instead"
        )
    return files[0]


def _roots(name: str) -> tuple[Path, ...]:
    """The folders of package ``name``.

    A dotted name is refused: finding the spec of a subpackage would import its parent.
    """
    module = name.replace("-", "_")
    if not module.isidentifier():
        return ()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ()
    return tuple(Path(place) for place in (spec.submodule_search_locations or ())) if spec else ()


def _distributed_gguf(name: str) -> list[Path]:
    """The GGUF files of distribution ``name``, for one whose package is called otherwise."""
    try:
        files = importlib.metadata.files(name) or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return []
    paths = (Path(str(file.locate())) for file in files if file.suffix == ".gguf")
    return sorted({path.resolve() for path in paths if path.is_file()})


def _convert(source: Path, target: Path, origin: _Origin) -> None:
    """Writes ``target`` whole or not at all: a reader never sees half a model."""
    target.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        built = workspace / "built"
        _write_huggingface_folder(source, built)
        record = json.dumps(asdict(origin), indent=2)
        (built / _RECORD).write_text(record, encoding="utf-8")
        if target.exists():
            target.rename(workspace / "stale")
        try:
            built.rename(target)
        except OSError:
            # Another process was faster; its folder serves as well as ours if it is current.
            if _Origin.recorded(target) != origin:
                raise
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _write_huggingface_folder(source: Path, folder: Path) -> None:
    """Converts in a process of its own.

    Two threads that load transformers at once, this one and the encoder's, see it half made; and
    what a conversion takes of memory is given back when its process ends.
    """
    command = [sys.executable, "-m", __spec__.name, str(source), str(folder)]
    done = subprocess.run(  # noqa: S603 - our own module
        command, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        told = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ConfigurationError(f"cannot convert {source.name!r}: {told[-1]}")


def _write_here(source: Path, folder: Path) -> None:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        sys.exit(f"{error}; install torch, transformers, gguf and accelerate")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        model = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
    except (ImportError, OSError, ValueError) as error:
        problem = " ".join(str(error).split())
        sys.exit(
            f"{problem}; check that gguf and accelerate are installed and that the file is a model "
            "transformers can read"
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    _write_here(Path(sys.argv[1]), Path(sys.argv[2]))
