"""An HTTP server on one of several stacks, for `benchmarks/http_stacks.py`: it echoes, or answers queries.

Run: http_stack.py STACK PORT [CHAIN]
Without a chain's folder, an answer is the request's body. With one, it is the chain's answer to `{"query": …}`.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

THREADS = 8
Answer = Callable[[bytes], bytes]


def make_answer(folder: str) -> Answer:
    """What every stack calls: the work is the same, and so the stacks' own cost differs."""
    if not folder:
        return lambda body: body
    from tfchain import NeuralSearchChain

    chain = NeuralSearchChain.load(folder)

    def answer(body: bytes) -> bytes:
        return json.dumps(chain.search(json.loads(body)["query"])["answer"]).encode()

    return answer


def serve_tfchain(port: int, answer: Answer) -> None:
    from tfchain.deployment.server.http.rest import Answer as HttpAnswer
    from tfchain.deployment.server.http.server import HttpServer

    class Api:
        def answer(self, method: str, target: str, headers: Any, body: bytes, deadline: Any) -> HttpAnswer:
            return HttpAnswer(200, (("Content-Type", "application/json"),), answer(body))

    HttpServer(Api(), host="127.0.0.1", port=port, num_threads=THREADS).start()
    threading.Event().wait()


def to_wsgi(answer: Answer) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = answer(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return app


def serve_cheroot(port: int, answer: Answer) -> None:
    from cheroot import wsgi

    # A thread holds a connection while it is open and busy: as many as the clients that the benchmark has.
    wsgi.Server(("127.0.0.1", port), to_wsgi(answer), numthreads=2 * THREADS).start()


def serve_granian(port: int, answer: Answer) -> None:
    from granian import Granian
    from granian.constants import Interfaces

    Granian("http_stack:app", address="127.0.0.1", port=port, interface=Interfaces.WSGI, blocking_threads=THREADS,
            log_enabled=False).serve()  # fmt: skip


def serve_uvicorn(port: int, answer: Answer) -> None:
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        # A model's run would block the loop, so it goes to a thread, as FastAPI's plain functions do.
        found = await asyncio.get_running_loop().run_in_executor(None, answer, body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(found)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": found})

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", lifespan="off", loop="uvloop", http="httptools")


if os.environ.get("HTTP_STACK_APP"):  # granian imports this file in its worker
    app = to_wsgi(make_answer(os.environ.get("HTTP_STACK_CHAIN", "")))

if __name__ == "__main__":
    stack, port, *chain = sys.argv[1:]
    os.environ |= {"HTTP_STACK_APP": "1", "HTTP_STACK_CHAIN": "".join(chain)}
    {"tfchain": serve_tfchain, "cheroot": serve_cheroot, "granian": serve_granian, "uvicorn": serve_uvicorn}[stack](
        int(port), make_answer("".join(chain))
    )
