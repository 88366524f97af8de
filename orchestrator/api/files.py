"""``/v1/files``: what batches read and write.  Needs the chat key where chat does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from coterie.errors import FileTooLarge, RequestError, UnknownFile
from orchestrator.api.deps import ForChat, ForReader, WhoCalls
from orchestrator.batches.file_store import CHUNK
from orchestrator.batches.stored_file import BATCH, KEPT, MOST_BYTES, StoredFile
from orchestrator.keys.key import Caller
from orchestrator.parts import Parts

router = APIRouter(prefix="/v1/files")

AROUND = 64 * 1024
"""Bytes of a form around its file, at most."""


class ExpiresAfter(BaseModel):
    """How long a file is kept."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


FORM = {
    "type": "object",
    "required": ["purpose", "file"],
    "properties": {
        "purpose": {"type": "string", "enum": [BATCH]},
        "file": {"type": "string", "format": "binary"},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer"},
    },
}
UPLOAD = {"requestBody": {"content": {"multipart/form-data": {"schema": FORM}}, "required": True}}


@router.post("", openapi_extra=UPLOAD)
async def upload_file(request: Request, parts: ForChat, who: WhoCalls) -> dict[str, Any]:
    """Keeps a file of requests: ``multipart/form-data`` with ``purpose`` "batch" and ``file``."""
    _same_origin(request)
    form = await _form(request)
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise RequestError("the form has no file in its field 'file'", param="file")
        if form.get("purpose") != BATCH:
            raise RequestError(
                f"purpose {form.get('purpose')!r} is not offered: files are for {BATCH!r}",
                param="purpose",
            )
        name = file.filename or ""
        stored = await parts.batches.upload(name, _pieces(file), _kept(form), who.id)
    finally:
        await form.close()
    return file_body(stored)


@router.get("")
async def list_files(
    parts: ForReader,
    who: WhoCalls,
    purpose: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> dict[str, Any]:
    """The files, newest first: those after the one called ``after``, and the caller's own, unless
    its role sees all."""
    found = await parts.batches.files.list(
        purpose=purpose, newest_first=order == "desc", after=after, limit=limit + 1, keys=who.sees
    )
    return page_body([file_body(f) for f in found], limit)


@router.get("/{id}")
async def get_file(id: str, parts: ForReader, who: WhoCalls) -> dict[str, Any]:
    return file_body(await own_file(id, who, parts))


@router.get("/{id}/content", response_model=None)
async def file_content(id: str, parts: ForReader, who: WhoCalls) -> StreamingResponse:
    """The file itself, piece by piece."""
    file = await own_file(id, who, parts)
    headers = {
        "Content-Length": str(file.bytes),
        "Content-Disposition": f'attachment; filename="{file.id}.jsonl"',
        "X-Content-Type-Options": "nosniff",
    }
    contents = parts.batches.files.contents(id)
    return StreamingResponse(contents, headers=headers, media_type="application/octet-stream")


@router.delete("/{id}")
async def delete_file(id: str, parts: ForChat, who: WhoCalls) -> dict[str, Any]:
    """Deletes a file that no unfinished batch needs."""
    await own_file(id, who, parts)
    await parts.batches.delete_file(id)
    return {"id": id, "object": "file", "deleted": True}


async def own_file(id: str, who: Caller, parts: Parts) -> StoredFile:
    """The file called ``id``; raises :class:`UnknownFile` also where it is another caller's."""
    file = await parts.batches.files.get(id)
    if not who.owns(file.key):
        raise UnknownFile(f"no file {id!r} of this key's", param="id")
    return file


def file_body(file: StoredFile) -> dict[str, Any]:
    """A file in OpenAI's form."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at.timestamp()),
        "expires_at": int(file.expires_at.timestamp()),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def page_body(found: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A page in OpenAI's form, of what was ``found`` with one more than the ``limit``."""
    data = found[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > limit,
    }


def _same_origin(request: Request) -> None:
    """A foreign page may post a form without asking: it must not fill the disk."""
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise RequestError(f"files are not taken from pages of {origin!r}")


async def _form(request: Request) -> FormData:
    """The form; its file is on disk once it is large."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise RequestError("send the file as multipart/form-data, in the field 'file'")
    body = _bounded(request.stream(), MOST_BYTES + AROUND)
    parser = MultiPartParser(request.headers, body, max_files=1, max_fields=8, max_part_size=AROUND)
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise RequestError(f"the form cannot be read: {error.message}") from None


async def _bounded(body: AsyncIterator[bytes], most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for part in body:
        size += len(part)
        if size > most:
            raise FileTooLarge(
                f"the file is larger than {MOST_BYTES} bytes: split it", param="file"
            )
        yield part


async def _pieces(file: UploadFile) -> AsyncGenerator[bytes, None]:
    while piece := await file.read(CHUNK):
        yield piece


def _kept(form: FormData) -> timedelta:
    """How long the file is kept."""
    names = ("anchor", "seconds")
    given = {n: form[f"expires_after[{n}]"] for n in names if f"expires_after[{n}]" in form}
    if not given:
        return KEPT
    try:
        return timedelta(seconds=ExpiresAfter.model_validate(given).seconds)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RequestError(
            f"expires_after: {first['loc'][0]}: {first['msg']}", param="expires_after"
        ) from None
