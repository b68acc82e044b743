"""A worker without a model, run as a program of its own: `fake_worker.py CHANNEL FOLDER`.

`FOLDER/plan.json` says how each worker behaves at each of its starts; the last entry holds for all later ones:

- `ready`: is ready, answers what it is asked, and accepts connections if there is a socket;
- `silent`: is ready, and answers nothing; `stubborn`: ignores SIGTERM, too
- `refuse`: like `ready`, but refuses reloads
- `wait`: is never ready; `fail:TEXT`: reports an error and ends; `exit:CODE`: ends

A ready worker asks for counts at SIGUSR1, for a reload at SIGUSR2, and writes the results into FOLDER.
"""

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

CHANNEL = socket.socket(fileno=int(sys.argv[1]))
FOLDER = Path(sys.argv[2])
CONFIG = "a config"


def send(**message: Any) -> None:
    CHANNEL.sendall(json.dumps(message).encode() + b"\n")


def count_snapshot(number: int, value: int) -> Any:
    names = {"help": "Requests.", "labels": ["model"]}
    return {
        "registry": [
            {"name": "requests", "kind": "counter", "cells": [[["docs"], value]], **names},
            {"name": "queue", "kind": "gauge", "cells": [[["docs"], 1]], **names},
        ],
        "process": [
            {"name": "process_id", "help": "", "kind": "gauge", "labels": ["worker"], "cells": [[[str(number)], 1]]}
        ],
    }


def write(name: str, value: Any) -> None:
    """Writes a file that is there as a whole or not at all."""
    path = FOLDER / f".{name}.{os.getpid()}"
    path.write_text(json.dumps(value))
    path.rename(FOLDER / name)


def serve(listener: socket.socket, number: int) -> None:
    listener.listen(64)
    listener.setblocking(True)
    while True:
        stream, _ = listener.accept()
        stream.recv(1000)
        stream.sendall(f"worker {number}".encode())
        stream.close()


def main() -> None:
    lines = CHANNEL.makefile("r")
    settings = json.loads(lines.readline())
    number = settings["number"]
    start = sum(1 for path in FOLDER.iterdir() if path.name.startswith(f"start-{number}-"))
    write(f"start-{number}-{start}", {**settings, "pid": os.getpid()})
    plans = json.loads((FOLDER / "plan.json").read_text())[str(number)]
    plan, _, detail = plans[min(start, len(plans) - 1)].partition(":")
    if plan == "exit":
        sys.exit(int(detail))
    if plan == "fail":
        send(kind="failed", error=detail)
        sys.exit(255)
    num_questions = 0

    def ask(what: str, body: Any) -> None:
        nonlocal num_questions
        num_questions += 1
        send(kind="ask", id=num_questions, what=what, body=body, seconds=None)

    def finish(*_: Any) -> None:
        send(kind="counts", body=count_snapshot(number, 1000))
        write(f"finished-{number}", None)
        os._exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if plan == "stubborn" else finish)
    signal.signal(signal.SIGUSR1, lambda *_: ask("counts", None))
    signal.signal(signal.SIGUSR2, lambda *_: ask("reload", CONFIG))
    write(f"listening-{number}-{start}", {})
    if settings.get("rest_fd", -1) >= 0:
        listener = socket.socket(fileno=settings["rest_fd"])
        threading.Thread(target=serve, args=(listener, number), daemon=True).start()
    if plan != "wait":
        send(kind="ready")
    for line in lines:
        message = json.loads(line)
        if message["kind"] == "result":
            write(f"result-{number}-{message['id']}", message["body"])
        elif plan in ("ready", "refuse") and message["what"] == "counts":
            send(kind="done", id=message["id"], body=count_snapshot(number, 10 * number))
        elif plan in ("ready", "refuse"):
            write(f"{message['what']}-{number}-{start}", message["body"])
            is_refused = plan == "refuse"
            answer = {"code": 3 if is_refused else 0, "message": "no" if is_refused else "", "in_force": not is_refused}
            send(kind="done", id=message["id"], body=answer)


if __name__ == "__main__":
    main()
