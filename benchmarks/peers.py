"""The servers that `serving_load.py` asks beside tfchain's: how each is started, and how it is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lean_clients import Client, HttpClient
from material import HERE
from services import free_ports

FASTAPI = "FastAPI + sentence-transformers + FAISS"
BENTOML = "BentoML (adaptive batching) + sentence-transformers + FAISS"


@dataclass(frozen=True)
class Peer:
    """A server of another kind.

    Args:
        command: Starts it.
        connect: By what is asked, a function that connects a client.
    """

    command: list[Any]
    connect: dict[str, Callable[[], Client]]


def make_peers(python: Path, work: Path, model: Path) -> dict[str, Peer]:
    """The peers by name; none without their environment.

    Args:
        python: The Python of the peers' environment.
        work: The folder with `vectors.npy` and `documents.jsonl`.
        model: MiniLM's folder.
    """
    if not python.exists():
        return {}
    fastapi, bentoml = free_ports(2)
    files = [model, work / "vectors.npy", work / "documents.jsonl"]
    scripts = HERE / "servers"
    return {
        FASTAPI: Peer(
            [python, scripts / "fastapi_server.py", *files, fastapi],
            {
                "search, REST": lambda: HttpClient(fastapi, "/search", lambda text: {"text": text}, dict),
                "embeddings": lambda: HttpClient(fastapi, "/embed", lambda text: {"text": text}, give_ids),
            },
        ),
        BENTOML: Peer(
            [python, scripts / "bentoml_server.py", *files, bentoml],
            {
                "search, REST": lambda: HttpClient(bentoml, "/search", lambda text: {"texts": [text]}, first),
                "embeddings": lambda: HttpClient(bentoml, "/embed", lambda text: {"texts": [text]}, give_ids),
            },
        ),
    }


def give_ids(answer: Any) -> dict[str, Any]:
    """An answer that has no ids, in the form that `HttpClient` wants."""
    return {"ids": answer}


def first(answers: Any) -> dict[str, Any]:
    """The answer for the only text of a request."""
    found: dict[str, Any] = answers[0]
    return found
