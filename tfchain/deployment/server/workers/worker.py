"""One of several workers: what a model server in it shares with the others."""

import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from tfchain.deployment.server.config import ModelConfig, parse_config
from tfchain.deployment.server.grpc.options import Argument
from tfchain.deployment.server.metrics.process import read_process
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.metrics.snapshot import add_snapshot, label_readings, take_snapshot
from tfchain.deployment.server.workers.link import Link
from tfchain.deployment.server.workers.messages import Message
from tfchain.deployment.server.workers.shared_reload import BeginReload, answer_reload_part, decode_config, reload_all

GRPC_ARGUMENTS: tuple[Argument, ...] = (("grpc.so_reuseport", 1),)
_COUNTS_SECONDS = 5.0


class Worker:
    """A worker's share of a server with several: its sockets, its configuration, its counts.

    Args:
        link: The link to the supervisor.
        settings: The supervisor's first message.
    """

    def __init__(self, link: Link, settings: Message) -> None:
        self._link = link
        self._settings = settings
        self._is_complete = threading.Event()
        self._registry = Registry()
        if settings["is_complete"]:
            self._is_complete.set()

    @classmethod
    def connect(cls, file_descriptor: int) -> "Worker":
        """Makes the worker of this process from its end of the channel; waits for the first message."""
        link = Link(socket.socket(fileno=file_descriptor))
        return cls(link, link.read_settings())

    @property
    def number(self) -> int:
        """The worker's number, from 1."""
        return int(self._settings["number"])

    @property
    def is_complete(self) -> bool:
        """Whether all workers have been ready, so that the server has started."""
        return self._is_complete.is_set()

    @property
    def may_lack_models(self) -> bool:
        """Whether the configuration in force has models that no worker could load, and that stop no start."""
        return bool(self._settings["is_partial"])

    def open_rest_socket(self) -> socket.socket:
        """Returns the REST port's socket, from which all workers accept; call it once, and close it."""
        return socket.socket(fileno=int(self._settings["rest_fd"]))

    def read_models(self) -> dict[str, ModelConfig] | None:
        """Returns the models of the reload that is in force; None if there was none, and the flags say what to serve.

        Raises:
            StatusError: if the configuration is wrong.
        """
        config = self._settings["config"]
        return None if config is None else parse_config(decode_config(config))

    def start(self, registry: Registry, begin_reload: BeginReload) -> None:
        """Reports that this worker answers, and answers the supervisor's questions from now on.

        Args:
            registry: The server's metrics.
            begin_reload: Puts a configuration in force, and returns a function that waits for its models.
        """
        self._registry = registry
        self._link.start(
            {
                "counts": lambda _: self._read_counts,
                "complete": self._complete,
                "reload": partial(answer_reload_part, begin_reload),
            }
        )
        self._link.send({"kind": "ready"})

    def report_failure(self, error: str) -> None:
        """Tells the supervisor why this worker cannot start."""
        self._link.send({"kind": "failed", "error": error})

    def report_counts(self) -> None:
        """Leaves the supervisor this worker's counts, before it ends."""
        self._link.send({"kind": "counts", "body": self._read_counts()})

    def reload(self, config: Any, seconds: float | None) -> None:
        """Replaces the configuration of all workers; see `reload_all`."""
        reload_all(self._link, config, seconds)

    def collect(self) -> Registry:
        """Returns the counts of all workers, added up; those about a process have a label `worker`.

        Raises:
            StatusError: if the supervisor does not answer.
        """
        total = Registry()
        for snapshot in self._link.ask("counts", None, seconds=None, wait_seconds=_COUNTS_SECONDS):
            add_snapshot(total, snapshot)
        return total

    def _complete(self, _: Any) -> Callable[[], Any]:
        self._is_complete.set()
        return lambda: None

    def _read_counts(self) -> dict[str, Any]:
        process = label_readings(read_process(), "worker", str(self.number))
        return {"registry": take_snapshot(self._registry), "process": process}
