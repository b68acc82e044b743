"""What a supervisor keeps for its workers beyond the life of each: the configuration in force, and their counts."""

from collections.abc import Iterable, Mapping
from typing import Any

from tfchain.deployment.server.metrics.process import read_process
from tfchain.deployment.server.metrics.registry import Counter, Gauge, Registry
from tfchain.deployment.server.metrics.snapshot import add_snapshot, label_readings, take_snapshot
from tfchain.deployment.server.workers.process import WorkerProcess


class SharedConfig:
    """The configuration that `HandleReloadConfigRequest` has put in force, which later workers begin with."""

    def __init__(self) -> None:
        self._config: str | None = None
        self._is_partial = False

    def settings(self) -> dict[str, Any]:
        """Returns what a new worker is told: the configuration, and whether some of its models could not be loaded."""
        return {"config": self._config, "is_partial": self._is_partial}

    def take(self, config: str, answers: Mapping[int, Any]) -> None:
        """Keeps a configuration if a worker has put it in force.

        Args:
            config: The configuration, as the workers got it.
            answers: Their answers: `in_force`, and the status `code`.
        """
        if any(answer["in_force"] for answer in answers.values()):
            self._config = config
            self._is_partial = any(answer["code"] != 0 for answer in answers.values())


class SharedCounts:
    """The counts of all workers, also of those that have ended, so that no counter ever falls.

    Of a worker that ends without a word, what it counted after it was last asked is lost.
    """

    def __init__(self) -> None:
        self._ended = Registry()
        self._own = Registry()
        self._restarts = self._own.add(
            Counter("tfchain_worker_restarts_total", "Workers that were started again after their end.")
        )
        self._num_ready = self._own.add(Gauge("tfchain_workers_ready", "Workers that answer requests."))

    def count_restart(self) -> None:
        """Counts a worker that is started again."""
        self._restarts.labels().add()

    def keep(self, worker: WorkerProcess) -> None:
        """Adds what a worker counted before it ended."""
        if worker.counts is not None:
            add_snapshot(self._ended, worker.counts["registry"], has_gauges=False)

    def collect(self, ready: Iterable[WorkerProcess], answers: Mapping[int, Any]) -> list[Any]:
        """Returns the snapshots whose sum is the whole server's.

        Args:
            ready: The workers that answer requests.
            answers: Their counts by number. Of those that have not answered in time, the former counts are taken.
        """
        workers = list(ready)
        for worker in workers:
            worker.counts = answers.get(worker.number, worker.counts)
        told = [worker.counts for worker in workers if worker.counts is not None]
        self._num_ready.labels().set(len(workers))
        return [
            *(counts["registry"] for counts in told),
            *(counts["process"] for counts in told),
            take_snapshot(self._ended),
            take_snapshot(self._own),
            label_readings(read_process(), "worker", "supervisor"),
        ]
