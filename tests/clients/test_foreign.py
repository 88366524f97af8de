"""Clients of others before the server, unmodified: langchain-openai, lm-eval, Inspect and ``llm``.

They are run by the interpreter that ``COTERIE_CLIENTS_PYTHON`` names, else by this one, and
skipped where that one has not got them.  The long form makes an environment for them.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.upstream import WORDS

FOREIGN = Path(__file__).parent / "foreign"
INSTALL = "pip install 'coterie[clients]'"
PACKAGES = ("langchain-openai>=1,<2", "lm-eval[api]>=0.4.9,<0.5", "inspect-ai>=0.3.100,<0.4")
PACKAGES += ("llm>=0.27,<1", "openai>=2.25,<4")
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "LLM_LOAD_PLUGINS": ""}


@dataclass(frozen=True)
class Clients:
    """An interpreter that may have them."""

    python: str
    complete: bool

    async def run(self, *args: str, cwd: Path, **environ: str) -> str:
        """What ``python ARGS`` prints."""
        kept = {k: os.environ[k] for k in ("PATH", "LANG") if k in os.environ}
        env = {**kept, **OFFLINE, "HOME": str(cwd), "PYTHONWARNINGS": "ignore", **environ}
        return await _run(self.python, *args, cwd=cwd, env=env)

    async def needs(self, module: str) -> None:
        """Skips the test where the module is not there."""
        found = f"import importlib.util as i; print(i.find_spec({module!r}) is not None)"
        if (await _run(self.python, "-c", found)).strip() != "True":
            assert not self.complete
            pytest.skip(f"{module} is not installed: {INSTALL}, or name an interpreter that has it")


async def _run(*args: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *args, cwd=cwd, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(240):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{out.decode()[-2000:]}\n{err.decode()[-4000:]}"
    return out.decode()


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=["installed", pytest.param("fresh", marks=[pytest.mark.long, pytest.mark.timeout(900)])],
)
async def clients(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Clients:
    if request.param == "installed":
        return Clients(os.environ.get("COTERIE_CLIENTS_PYTHON", sys.executable), complete=False)
    folder = tmp_path_factory.mktemp("clients")
    await _run(sys.executable, "-m", "venv", str(folder))
    python = str(folder / "bin" / "python")
    await _run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES)
    return Clients(python, complete=True)


pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_langchain_chats_streams_calls_and_embeds(
    served: Any, clients: Clients, tmp_path: Path
) -> None:
    await clients.needs("langchain_openai")
    script = str(FOREIGN / "langchain_client.py")
    told = json.loads(await clients.run(script, served.url, served.key, cwd=tmp_path))
    for name in ("said", "streamed", "responded", "response_streamed"):
        assert told[name] == WORDS
    assert told["tokens"] == 15
    assert told["pieces"] > 3
    [call] = told["calls"]
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    assert [len(v) for v in told["vectors"]] == [9, 9]


async def test_lm_eval_grades_a_chat(served: Any, clients: Clients, tmp_path: Path) -> None:
    await clients.needs("lm_eval")
    task = (FOREIGN / "many.yaml").read_text().replace("many.jsonl", str(tmp_path / "many.jsonl"))
    (tmp_path / "many.yaml").write_text(task)
    (tmp_path / "many.jsonl").write_text(json.dumps({"question": "How many?", "answer": WORDS}))
    model = f"model=coterie,base_url={served.url}/v1/chat/completions,max_retries=1"
    options = ["--model", "local-chat-completions", "--model_args", model, "--tasks", "many"]
    options += ["--include_path", str(tmp_path), "--apply_chat_template"]
    options += ["--output_path", str(tmp_path / "out")]
    await clients.run("-m", "lm_eval", "run", *options, cwd=tmp_path, OPENAI_API_KEY=served.key)
    [file] = (tmp_path / "out").rglob("results_*.json")
    assert json.loads(file.read_text())["results"]["many"]["exact_match,none"] == 1.0
    assert served.upstream.asked[-1]["messages"][-1]["content"] == "How many?"


async def test_inspect_grades_a_chat(served: Any, clients: Clients, tmp_path: Path) -> None:
    await clients.needs("inspect_ai")
    shutil.copy(FOREIGN / "inspect_task.py", tmp_path / "many.py")
    options = ["--model", "openai-api/coterie/coterie", "--log-format", "json"]
    options += ["--log-dir", "logs", "--display", "plain"]
    await clients.run(
        *("-m", "inspect_ai", "eval", "many.py", *options),
        cwd=tmp_path,
        COTERIE_API_KEY=served.key,
        COTERIE_BASE_URL=f"{served.url}/v1",
    )
    [file] = (tmp_path / "logs").glob("*.json")
    log = json.loads(file.read_text())
    assert log["status"] == "success", log.get("error")
    [score] = log["results"]["scores"]
    assert score["metrics"]["accuracy"]["value"] == 1
    assert log["stats"]["model_usage"]["openai-api/coterie/coterie"]["total_tokens"] == 15


@pytest.mark.parametrize("how", ["--no-stream", "--no-log"])
async def test_llm_asks_and_streams(
    served: Any, clients: Clients, tmp_path: Path, how: str
) -> None:
    await clients.needs("llm")
    model = {"model_id": "ours", "model_name": "coterie", "api_base": f"{served.url}/v1"}
    model["api_key_name"] = "coterie"
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]))
    said = await clients.run(
        *("-m", "llm", "prompt", "-m", "ours", "--key", served.key, how, "How many?"),
        cwd=tmp_path,
        LLM_USER_PATH=str(tmp_path),
    )
    assert said.strip() == WORDS
    assert served.upstream.asked[-1].get("stream", False) == (how != "--no-stream")
