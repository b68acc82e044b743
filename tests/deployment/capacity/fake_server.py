"""A server with TensorFlow Serving's REST paths that answers at once, for tests of what asks it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DOCUMENTS = ["the cat sleeps on the mat all day long and well into the night", "stocks fell on monday"]


class Handler(BaseHTTPRequestHandler):
    """Finds two documents for each text; a token is a word. `broken` is a text that it refuses."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))  # type: ignore[attr-defined]
        answers = [self.answer(body["signature_name"], row) for row in body["instances"]]
        if None in answers:
            self.reply(400, {"error": "no such thing"})
        else:
            self.reply(200, {"predictions": answers})

    def answer(self, signature: str, row: dict[str, Any]) -> dict[str, Any] | None:
        if row["text"] == "broken":
            return None
        if signature == "tokenize":
            return {"token_ids": [1] * len(row["text"].split()), "padding_mask": [1] * len(row["text"].split())}
        if signature == "embed":
            return {"embedding": [0.5, 0.5]}
        return {"texts": DOCUMENTS} if signature == "serving_default" else None

    def reply(self, status: int, values: dict[str, Any]) -> None:
        content = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def run_fake_server() -> Iterator[ThreadingHTTPServer]:
    """Runs the server on a port that the system chooses; what it was asked is in its `asked`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)


def url_of(server: ThreadingHTTPServer) -> str:
    """The address of the server's model."""
    return f"http://127.0.0.1:{server.server_port}/v1/models/docs"
