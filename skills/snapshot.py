"""A snapshot as bytes: everything a :class:`Knowledge` holds, readable without anything else.

The bytes are a zip file: ``snapshot.json`` (format, profiles, choices), ``memory.npz`` (arrays,
never pickles), and a file for each fitted model under ``fitted/``.  The same knowledge is always
the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass, fields
from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from coterie.errors import SnapshotError
from coterie.types import Profile, SkillWeight, as_jsonable
from skills.knowledge import Knowledge
from skills.memory import Memory

FORMAT = 1
HEAD, MEMORY, FITTED = "snapshot.json", "memory.npz", "fitted/"
PROFILES = TypeAdapter(tuple[Profile, ...])
SKILLS = TypeAdapter(tuple[tuple[SkillWeight, ...], ...])
_NAMES = ("experts", "items", "categories")  # what a Memory has as tuples of str
_FIRST = f'{{"{min(f.name for f in fields(Profile))}": '
"""How a profile begins."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """What is told of a snapshot without opening it.

    ``parent`` is the snapshot that was active when this one was made, ``answers`` how many graded
    answers it rests on, ``encoder`` the embedding model of its vectors.
    """

    name: str
    created_at: datetime
    note: str = ""
    parent: str | None = None
    answers: int = 0
    encoder: str | None = None


def default_name(at: datetime, body: bytes) -> str:
    """The name of a snapshot that was given none: UTC time, and a short hash of its body."""
    return f"{at:%Y%m%dT%H%M%SZ}-{hashlib.sha256(body).hexdigest()[:6]}"


def pack(knowledge: Knowledge) -> bytes:
    """The body of a snapshot; its name is not part of it."""
    profiles = sorted(knowledge.profiles.values(), key=lambda p: p.expert)
    head = {
        "format": FORMAT,
        "profiles": as_jsonable(profiles),
        "choices": as_jsonable(knowledge.choices),
        "fitted": sorted(knowledge.fitted),
    }
    body = BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        _write(archive, HEAD, json.dumps(head, allow_nan=False, sort_keys=True).encode())
        if knowledge.memory is not None:
            _write(archive, MEMORY, pack_memory(knowledge.memory))
        for i, name in enumerate(head["fitted"]):
            _write(archive, f"{FITTED}{i}", knowledge.fitted[name].encode())
    return body.getvalue()


def unpack(name: str, body: bytes) -> Knowledge:
    """The knowledge of snapshot ``name``; raises :class:`SnapshotError` if the body is damaged."""
    try:
        with zipfile.ZipFile(BytesIO(body)) as archive:
            head = json.loads(archive.read(HEAD))
            if head["format"] != FORMAT:
                raise SnapshotError(
                    f"snapshot {name!r} has format {head['format']!r}, and this version of Coterie "
                    f"reads {FORMAT}: upgrade Coterie, or activate another snapshot"
                )
            has_memory = MEMORY in archive.namelist()
            return Knowledge.of(
                PROFILES.validate_python(head["profiles"]),
                name=name,
                memory=unpack_memory(archive.read(MEMORY)) if has_memory else None,
                choices=head["choices"],
                fitted={
                    model: archive.read(f"{FITTED}{i}").decode()
                    for i, model in enumerate(head["fitted"])
                },
            )
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(
            f"snapshot {name!r} cannot be read ({error!r}): activate another one, or make one anew "
            "with `coterie skills profile`"
        ) from error


def read_profile(name: str, body: bytes, expert: str) -> Profile | None:
    """One expert's profile in snapshot ``name``; nothing else of it is parsed.

    Raises :class:`SnapshotError` if the body is damaged.
    """
    try:
        with zipfile.ZipFile(BytesIO(body)) as archive:
            found = _profile_in(archive.read(HEAD).decode(), expert)
        return PROFILES.validate_python([found])[0] if found else None
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"snapshot {name!r} cannot be read ({error!r})") from error


def _profile_in(head: str, expert: str) -> dict[str, Any] | None:
    """The object around ``"expert": NAME``, which stands nowhere within a text: quotes are escaped
    there.  Its keys are sorted, so that it begins with the first one's name."""
    at = head.find(f'"expert": {json.dumps(expert)}')
    start, decoder = at, json.JSONDecoder()
    while at >= 0 and (start := head.rfind(_FIRST, 0, start)) >= 0:
        found: dict[str, Any] = decoder.raw_decode(head, start)[0]
        if found.get("expert") == expert:
            return found
    return None


def pack_memory(memory: Memory) -> bytes:
    """The arrays of ``memory`` as a compressed npz file."""
    arrays = {f.name: _array(f.name, getattr(memory, f.name)) for f in fields(memory)}
    file = BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def unpack_memory(data: bytes) -> Memory:
    """The memory that :func:`pack_memory` wrote."""
    with np.load(BytesIO(data), allow_pickle=False) as file:
        arrays: dict[str, Any] = dict(file)
    arrays |= {name: tuple(arrays[name].tolist()) for name in _NAMES}
    arrays["skills"] = SKILLS.validate_json(arrays["skills"].tobytes())
    return Memory(**arrays)


def _array(name: str, value: Any) -> np.ndarray[Any, Any]:
    if name == "skills":
        return np.frombuffer(json.dumps(as_jsonable(value)).encode(), dtype=np.uint8)
    return np.array(value, dtype=np.str_) if name in _NAMES else value


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
