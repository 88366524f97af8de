"""A stand-in for ``python -m vllm.entrypoints.openai.api_server``: for process supervision only.

It takes vLLM's command line, listens where it is told, and answers with the model it was asked
for.  ``STUB`` in its environment makes it behave badly: ``dies`` at once, or is ``deaf``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": f"{body['model']} by {os.getpid()}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        self._answer(200, {"choices": [choice], "usage": usage})

    def _answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main(argv: list[str]) -> None:
    print("stub started with", json.dumps(argv), flush=True)
    if os.environ.get("STUB") == "dies":
        sys.exit("ValueError: the stub was told to die")
    if os.environ.get("STUB") == "deaf":
        while True:
            time.sleep(60)
    port = int(argv[argv.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
