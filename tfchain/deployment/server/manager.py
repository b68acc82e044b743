"""Loads and unloads versions of models, tracks their states, and lends them to requests."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import Code, StatusError, invalid_argument, not_found
from tfchain.deployment.server.versions import State, VersionRecord, VersionStatus

logger = logging.getLogger(__name__)

Loader = Callable[[Path], Servable]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The model that a request names: one version, a version by label, or the latest.

    Args:
        name: The model's name.
        version: A version, or None.
        label: A label, or None.
    """

    name: str
    version: int | None = None
    label: str | None = None


class Lease:
    """A version lent to a request; it is not unloaded before the `with` block ends.

    Args:
        servable: The loaded model.
        name: The model's name.
        version: The version.
        path: The version's folder.
        release: Returns the version to the manager.
    """

    __slots__ = ("_release", "name", "path", "servable", "version")

    def __init__(self, servable: Servable, name: str, version: int, path: Path, release: Callable[[], None]) -> None:
        self.servable = servable
        self.name = name
        self.version = version
        self.path = path
        self._release = release

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()


class Manager:
    """Holds the versions of all models.

    Sources set the wanted versions (`set_wanted`), and requests borrow them (`lend`). A new version is loaded before
    the old one is unloaded, so a model never stops answering; if the load fails, the old version stays.

    Args:
        load: A function that loads a version's folder; it raises a StatusError if it cannot.
        max_retries: The number of retries of a failed load. Default: 5.
        retry_seconds: The wait between two attempts. Default: 60.
        num_load_threads: The number of versions that load at the same time. Default: 4.
    """

    def __init__(
        self, load: Loader, *, max_retries: int = 5, retry_seconds: float = 60.0, num_load_threads: int = 4
    ) -> None:
        self._load = load
        self._max_retries = max_retries
        self._retry_seconds = retry_seconds
        self._load_slots = threading.Semaphore(num_load_threads)
        self._records: dict[str, dict[int, VersionRecord]] = {}
        self._changed = threading.Condition()  # its lock guards all records
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def set_wanted(self, name: str, versions: Mapping[int, Path]) -> None:
        """Sets the wanted versions of a model. Loads and unloads in the background.

        A version that failed to load is tried again only after it has been unwanted in between.
        """
        with self._changed:
            if self._closing.is_set():
                return
            records = self._records.setdefault(name, {})
            for record in records.values():
                record.is_wanted = record.is_wanted and record.version in versions
            for version, path in sorted(versions.items(), reverse=True):
                found = records.get(version)
                if found is not None and found.state in (State.START, State.LOADING, State.AVAILABLE):
                    found.is_wanted = True
                elif found is None or (found.state is State.END and not found.is_wanted):
                    records[version] = VersionRecord(name, version, path)
                    self._start_thread(self._load_version, records[version])
            self._unload_unwanted(name)

    def lend(self, spec: ModelSpec) -> Lease:
        """Lends the version that a request names; use it in a `with` block.

        Raises:
            StatusError: if no such model, version or label can answer now.
        """
        if spec.label is not None:
            raise invalid_argument(f"Unrecognized servable version label: {spec.label}")
        with self._changed:
            records = self._records.get(spec.name, {})
            if spec.version is None:
                served = [record for record in records.values() if record.state is State.AVAILABLE]
                record = max(served, key=lambda record: record.version, default=None)
            else:
                record = records.get(spec.version)
            if record is None or record.state is not State.AVAILABLE or record.servable is None:
                wanted = f"Latest({spec.name})" if spec.version is None else f"Specific({spec.name}, {spec.version})"
                raise not_found(f"Servable not found for request: {wanted}")
            record.num_leases += 1
            return Lease(record.servable, record.name, record.version, record.path, lambda: self._release(record))

    def names(self) -> list[str]:
        """Returns the models that have a version that answers, sorted."""
        with self._changed:
            return sorted(
                name
                for name, records in self._records.items()
                if any(record.state is State.AVAILABLE for record in records.values())
            )

    def statuses(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Returns the states of a model's versions, including ended ones, highest version first.

        Raises:
            StatusError: if the model or the version was never seen.
        """
        with self._changed:
            records = self._records.get(name, {})
            if version is not None:
                if version not in records:
                    raise not_found(f"Could not find version {version} of model {name}")
                return [records[version].status()]
            if not records:
                raise not_found(f"Could not find any versions of model {name}")
            return [records[version].status() for version in sorted(records, reverse=True)]

    def wait_until_loaded(self, names: Sequence[str], timeout_seconds: float) -> None:
        """Waits until each model has a version that answers.

        Raises:
            StatusError: if all wanted versions of a model failed to load, or the time is up.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while True:
                failures = [failure for name in names for failure in self._failures(name)]
                if failures:
                    listed = ", ".join(failures)
                    raise StatusError(
                        Code.UNKNOWN, f"{len(failures)} servable(s) did not become available: {{{listed}, }}"
                    )
                if all(self._is_available(name) for name in names):
                    return
                left = deadline - time.monotonic()
                if left <= 0 or self._closing.is_set():
                    raise StatusError(
                        Code.DEADLINE_EXCEEDED, f"The models {', '.join(names)} were not loaded in {timeout_seconds} s."
                    )
                self._changed.wait(min(left, 1.0))

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Unloads everything after the running requests; gives up on requests that exceed the timeout."""
        with self._changed:
            self._closing.set()
            for records in self._records.values():
                for record in records.values():
                    record.is_wanted = False
                    if record.state is State.AVAILABLE:
                        self._start_unload(record)
            self._changed.notify_all()
            threads = list(self._threads)
        deadline = time.monotonic() + timeout_seconds
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _load_version(self, record: VersionRecord) -> None:
        servable: Servable | None = None
        error: StatusError | None = None
        with self._load_slots:
            with self._changed:
                record.state = State.LOADING
            for attempt in range(self._max_retries + 1):
                if attempt:
                    logger.warning("loading %s failed, trying again: %s", record, error)
                    self._closing.wait(self._retry_seconds)
                if self._closing.is_set() or not record.is_wanted:
                    error = error or StatusError(Code.CANCELLED, "The load was cancelled.")
                    break
                servable, error = self._try_load(record.path)
                if servable is not None:
                    break
        with self._changed:
            if servable is None:
                record.end(error)
                logger.error("loading %s failed: %s", record, error)
            else:
                record.servable, record.state = servable, State.AVAILABLE
                logger.info("serving %s", record)
            self._unload_unwanted(record.name)  # this version too, if it is unwanted by now, or the manager is closing
            self._changed.notify_all()

    def _try_load(self, path: Path) -> tuple[Servable | None, StatusError | None]:
        try:
            return self._load(path), None
        except StatusError as error:
            return None, error
        except Exception as error:  # an unexpected error becomes a state that clients can read, not a dead thread
            logger.exception("loading %s failed", path)
            return None, StatusError(Code.UNKNOWN, f"{type(error).__name__}: {error}")

    def _unload_unwanted(self, name: str) -> None:
        """Unloads unwanted versions, unless that would leave the model without any version that answers."""
        records = self._records[name].values()
        wanted = [record for record in records if record.is_wanted]
        if wanted and not any(record.state is State.AVAILABLE for record in wanted):
            return
        for record in records:
            if not record.is_wanted and record.state is State.AVAILABLE:
                self._start_unload(record)

    def _start_unload(self, record: VersionRecord) -> None:
        record.state = State.UNLOADING
        self._start_thread(self._unload, record)

    def _unload(self, record: VersionRecord) -> None:
        with self._changed:
            while record.num_leases:
                self._changed.wait(1.0)
            servable, record.servable = record.servable, None
        if servable is not None:
            servable.close()
        with self._changed:
            record.end(None)
            logger.info("unloaded %s", record)
            self._changed.notify_all()

    def _release(self, record: VersionRecord) -> None:
        with self._changed:
            record.num_leases -= 1
            if not record.num_leases and record.state is State.UNLOADING:
                self._changed.notify_all()

    def _is_available(self, name: str) -> bool:
        return any(record.state is State.AVAILABLE for record in self._records.get(name, {}).values())

    def _failures(self, name: str) -> list[str]:
        """Describes a model's failed loads, if no version answers and none is loading."""
        wanted = [record for record in self._records.get(name, {}).values() if record.is_wanted]
        if self._is_available(name) or not all(record.state is State.END for record in wanted):
            return []
        return [f"{{name: {name} version: {record.version}}} due to error: {record.error}" for record in wanted]

    def _start_thread(self, work: Callable[[VersionRecord], None], record: VersionRecord) -> None:
        thread = threading.Thread(target=work, args=(record,), name=f"{work.__name__}-{record}", daemon=True)
        self._threads = [thread for thread in self._threads if thread.is_alive()] + [thread]
        thread.start()
