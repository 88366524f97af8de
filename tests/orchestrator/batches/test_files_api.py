"""Files through the official client, and through hands that mean no good."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from orchestrator.api import files as files_api
from orchestrator.batches import service as service_module


async def test_a_file_comes_back_as_it_was(service: Any) -> None:
    body = bytes(range(256)) * 5000
    made = await service.openai.files.create(file=("requests.jsonl", body), purpose="batch")
    assert (made.object, made.bytes, made.filename) == ("file", len(body), "requests.jsonl")
    assert made.expires_at - made.created_at == 30 * 24 * 3600
    assert await service.openai.files.retrieve(made.id) == made
    assert (await service.openai.files.content(made.id)).content == body
    gone = await service.openai.files.delete(made.id)
    assert (gone.id, gone.deleted) == (made.id, True)
    for call in (
        service.openai.files.retrieve,
        service.openai.files.content,
        service.openai.files.delete,
    ):
        with pytest.raises(openai.NotFoundError):
            await call(made.id)


async def test_files_are_listed_page_by_page(service: Any, of: Any) -> None:
    made = [await of(service).upload(b"{}", f"{i}.jsonl") for i in range(4)]
    files = service.openai.files
    assert [f.id async for f in files.list()] == made[::-1]
    assert [f.id async for f in files.list(order="asc", limit=3)] == made
    assert [f.id async for f in files.list(limit=1, after=made[1])] == made[:1]
    assert [f.id async for f in files.list(purpose="batch_output")] == []


async def test_a_file_is_kept_as_long_as_was_asked(service: Any) -> None:
    keep = {"anchor": "created_at", "seconds": 3600}
    made = await service.openai.files.create(file=("x", b"{}"), purpose="batch", expires_after=keep)
    assert made.expires_at - made.created_at == 3600
    with pytest.raises(openai.BadRequestError, match="expires_after: seconds"):
        await service.openai.files.create(
            file=("x", b"{}"), purpose="batch", expires_after={**keep, "seconds": 1}
        )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\windows\\win.ini", "win.ini"),
        ("a\x1b[31m\x00b.jsonl", "a[31mb.jsonl"),
        ("..", ".."),
        ("/", "file"),
        ("n" * 4000, "n" * 255),
        ("möchte.jsonl", "möchte.jsonl"),
    ],
)
def test_a_name_is_a_label_and_nothing_else(name: str, shown: str) -> None:
    from orchestrator.batches.stored_file import shown as show

    assert show(name) == shown


async def test_a_name_never_becomes_a_path(service: Any) -> None:
    before = {p for p in service.parts.settings.home.rglob("*") if "sqlite" not in p.name}
    made = await service.openai.files.create(file=("../../x.jsonl", b"{}"), purpose="batch")
    assert made.filename == "x.jsonl"
    found = await service.openai.files.with_raw_response.content(made.id)
    assert found.headers["content-disposition"] == f'attachment; filename="{made.id}.jsonl"'
    assert found.headers["x-content-type-options"] == "nosniff"
    after = {p for p in service.parts.settings.home.rglob("*") if "sqlite" not in p.name}
    assert after == before


@pytest.mark.parametrize("sent", [3000, 200_000])
async def test_a_file_that_is_too_large_leaves_nothing(
    service: Any, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by what comes, not by what a header says of it."""
    for module in (files_api, service_module):
        monkeypatch.setattr(module, "MOST_BYTES", 2000)
    with pytest.raises(openai.APIStatusError, match="larger than 2000 bytes") as caught:
        await service.openai.files.create(file=("x", b"x" * sent), purpose="batch")
    assert caught.value.status_code == 413
    assert [f async for f in service.openai.files.list()] == []


async def test_only_files_for_batches_are_taken(service: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="'fine-tune' is not offered"):
        await service.openai.files.create(file=("x", b"{}"), purpose="fine-tune")
    post = service.http.post
    for told in [
        await post("/v1/files", json={"purpose": "batch"}),
        await post("/v1/files", data={"purpose": "batch", "file": "text"}),
        await post("/v1/files", files={"other": b"{}"}, data={"purpose": "batch"}),
        await post("/v1/files", files={f"f{i}": b"{}" for i in range(3)}),
        await post("/v1/files", headers={"Content-Type": "multipart/form-data"}, content=b"x"),
        await post(
            "/v1/files",
            headers={"Content-Type": "multipart/form-data; boundary=b"},
            content=b"--b\r\nnonsense" + b"x" * 9000,
        ),
    ]:
        assert told.status_code == 400, told.text
        assert told.json()["error"]["type"] == "invalid_request_error"


async def test_a_foreign_page_cannot_fill_the_disk(service: Any) -> None:
    """A form may be posted across origins without asking."""
    form: Any = {"files": {"file": b"{}"}, "data": {"purpose": "batch"}}
    for origin in ("https://evil.example", "null"):
        refused = await service.http.post("/v1/files", **form, headers={"Origin": origin})
        assert refused.status_code == 400
    own = await service.http.post("/v1/files", **form, headers={"Origin": service.url})
    assert own.status_code == 200


async def test_what_a_batch_needs_is_not_deleted(service: Any, of: Any, line: Any) -> None:
    batches = of(service)
    made = await batches.create([line("1")])
    with pytest.raises(openai.ConflictError, match="still needs file"):
        await service.openai.files.delete(made.input_file_id)
    batches.start()
    done = await batches.over(made.id)
    await service.openai.files.delete(made.input_file_id)
    assert await batches.lines(done.output_file_id)
