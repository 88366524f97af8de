"""This machine: its GPU, its disk, the files with keys, and the encoder that reads questions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from coterie.errors import ConfigurationError
from orchestrator.doctor.finding import Finding
from orchestrator.engines.accelerator import find_gpu
from orchestrator.settings import Settings
from skills.encoder import Encoder, load_encoder

GIB = 1024**3
FULL_UNDER = 1 * GIB
SCARCE_UNDER = 5 * GIB


def look_at_gpu(settings: Settings, told: Sequence[str], *, engines: bool) -> Finding:
    """``told`` is a line for each GPU that nvidia-smi names; ``engines``: whether any would run."""
    device = find_gpu()
    if told:
        return Finding.ok("GPU", "; ".join(told))
    if device:
        seen = f"{device} is there, but nvidia-smi does not tell which GPU it is"
        return Finding.warn("GPU", seen, "install the driver's tools, or give the container a GPU")
    if settings.gpu == "1":
        remedy = "unset COTERIE_GPU, or start where there is one"
        return Finding.fail("GPU", "none, though COTERIE_GPU=1 says there is", remedy)
    also = "; engines run on the processor" if engines else ""
    return Finding.ok("GPU", f"none{also}")


def look_at_home(settings: Settings) -> Finding:
    """Whether files can be written where Coterie keeps them."""
    subject, home = "data folder", settings.home
    there = _nearest(home)
    if not there.is_dir():
        remedy = "set COTERIE_HOME to a folder"
        return Finding.fail(subject, f"{str(there)!r} is not a folder", remedy)
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        told = f"{str(there)!r} cannot be written by user {os.geteuid()}"
        return Finding.fail(subject, told, "change its owner, or set COTERIE_HOME")
    return Finding.ok(subject, f"{home} {'can be written' if home == there else 'can be made'}")


def look_at_disk(settings: Settings) -> Finding:
    """Whether there is room for the database, logs and weights."""
    return judge_disk(shutil.disk_usage(_nearest(settings.home)).free, settings.home)


def judge_disk(free: int, home: Path) -> Finding:
    """What ``free`` bytes at ``home`` are worth."""
    told = f"{free / GIB:.1f} GiB free at {home}"
    remedy = "make room, keep fewer why-records (COTERIE_TRACE_LIMIT), or move COTERIE_HOME"
    if free < FULL_UNDER:
        return Finding.fail("disk", told, remedy)
    if free < SCARCE_UNDER:
        return Finding.warn("disk", told, remedy)
    return Finding.ok("disk", told)


def look_at_keys(settings: Settings) -> list[Finding]:
    """Whether the files with keys are their owner's alone."""
    files = (
        settings.admin_key_file,
        settings.chat_key_file,
        settings.session_key_file,
        settings.contents_key_file,
        settings.seal_key_file,
    )
    there = [file for file in files if file.exists()]
    found = [finding for file in there if (finding := _exposed(file))]
    if found:
        return found
    told = f"{len(there)} files that their owner alone can read"
    return [Finding.ok("key files", told if there else "none yet: the first start makes them")]


def _exposed(file: Path) -> Finding | None:
    mode = file.stat().st_mode & 0o777
    if not mode & 0o077:
        return None
    told = f"{file} can be read by others (mode {mode:o})"
    remedy = f"chmod 600 {file}; if others may have read it, replace the key (docs/keys.md)"
    return Finding.fail("key files", told, remedy)


def look_at_encoder(
    settings: Settings, load: Callable[[str, Path], Encoder] = load_encoder
) -> Finding:
    """Whether the encoder loads and reads a sentence.  Takes seconds, and may download it."""
    subject, name = "embedding model", settings.embedding_model
    try:
        vectors = load(name, settings.cache_dir).encode(["Is anybody there?"])
    except ConfigurationError as error:
        return Finding.fail(subject, str(error), "correct COTERIE_EMBEDDING_MODEL")
    return Finding.ok(subject, f"{name} gives vectors of {vectors.shape[1]} numbers")


def _nearest(folder: Path) -> Path:
    """``folder``, or what there is of the way to it."""
    return next(place for place in (folder, *folder.parents) if place.exists())
