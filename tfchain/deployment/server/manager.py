"""Loads and unloads versions of models, tracks their states, and lends them to requests."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tfchain.core.stages import find_record
from tfchain.deployment.server.labels import Labels
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import Code, StatusError, not_found
from tfchain.deployment.server.turns import Turns
from tfchain.deployment.server.versions import State, VersionRecord, VersionStatus

logger = logging.getLogger(__name__)

Loader = Callable[[str, int, Path], Servable]  # (model, version, folder)
DEFAULT_THREADS = 4  # of loads, and of unloads
_AWAITED_SECONDS = 60.0  # in which versions that share a model's requests are loaded, after the first


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
    the old one is unloaded, so a model never stops answering; if the load fails, the old version stays. The same holds
    for a version whose folder changes, as when a model gets another base path.

    Args:
        load: A function that loads a model's version from a folder; it raises a StatusError if it cannot.
        max_retries: The number of retries of a failed load. Default: 5.
        retry_seconds: The wait between two attempts. Other loads run meanwhile. Default: 60.
        num_load_threads: The number of versions that load at the same time. Default: 4.
        num_unload_threads: The number of versions that are freed at the same time. Default: 4.

    Attributes:
        labels: The version labels that requests may use.
        choose: From a model's name and the versions that answer, the one for a request that names none; None for the
            highest. Default: always the highest.
        awaited: From a model's name, the versions that `wait_until_loaded` waits for, if wanted. Default: none.
    """

    def __init__(
        self,
        load: Loader,
        *,
        max_retries: int = 5,
        retry_seconds: float = 60.0,
        num_load_threads: int = DEFAULT_THREADS,
        num_unload_threads: int = DEFAULT_THREADS,
    ) -> None:
        self.labels = Labels()
        self.choose: Callable[[str, Collection[int]], int | None] = lambda *_: None
        self.awaited: Callable[[str], Collection[int]] = lambda _: ()
        self._load = load
        self._max_retries = max_retries
        self._retry_seconds = retry_seconds
        self._load_turns = Turns(num_load_threads)
        self._unload_turns = Turns(num_unload_threads)
        self._wanted: dict[str, Mapping[int, Path]] = {}
        self._records: dict[str, dict[int, VersionRecord]] = {}
        self._changed = threading.Condition()  # its lock guards all records
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def set_wanted(self, name: str, versions: Mapping[int, Path]) -> None:
        """Sets the wanted versions of a model. Loads and unloads in the background, the highest version first.

        A version that failed to load is tried again only after it has been unwanted in between, or from another folder.
        """
        with self._changed:
            if self._closing.is_set():
                return
            self._wanted[name] = dict(versions)
            self._reconcile(name)
            self._changed.notify_all()

    def lend(self, spec: ModelSpec) -> Lease:
        """Lends the version that a request names; use it in a `with` block.

        Raises:
            StatusError: if no such model, version or label can answer now.
        """
        version = spec.version if spec.label is None else self.labels.find(spec.name, spec.label)
        with self._changed:
            records = self._records.get(spec.name, {})
            if version is None:
                served = {found.version: found for one in records.values() if (found := one.answering()) is not None}
                chosen = self.choose(spec.name, served)
                record = None if chosen is None else served.get(chosen)
                record = record or max(served.values(), key=lambda record: record.version, default=None)
            else:
                record = records[version].answering() if version in records else None
            if record is not None and record.servable is not None:
                record.num_leases += 1
                if (stages := find_record()) is not None:
                    stages.model, stages.version = record.name, record.version
                return Lease(record.servable, record.name, record.version, record.path, lambda: self._release(record))
        if spec.label is not None and self.labels.find(spec.name, spec.label) != version:
            return self.lend(spec)  # the label has moved meanwhile, and its former version may be unloaded
        wanted = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
        raise not_found(f"Servable not found for request: {wanted}")

    def names(self) -> list[str]:
        """Returns the models that have a version that answers, sorted."""
        with self._changed:
            return sorted(
                name
                for name, records in self._records.items()
                if any(record.answering() is not None for record in records.values())
            )

    def is_available(self, name: str, version: int) -> bool:
        """Returns whether a version of a model answers requests now."""
        with self._changed:
            record = self._records.get(name, {}).get(version)
            return record is not None and record.answering() is not None

    def answers(self, name: str) -> bool:
        """Returns whether a model has a version that answers requests now."""
        with self._changed:
            return self._has_answering(name)

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

    def wait_until_loaded(self, names: Sequence[str], timeout_seconds: float) -> dict[str, list[VersionStatus]]:
        """Waits until each model has a version that answers, or cannot have one.

        Versions that `awaited` names must answer, too, or have failed once, so that the others do not get their
        requests; once a version answers, the wait for others is a minute at most.

        Returns:
            The models that have none, with the failed loads of their versions; no loads for a model without wanted
            versions.

        Raises:
            StatusError: if the time is up, or the manager closes.
        """
        deadline = time.monotonic() + timeout_seconds
        latest: float | None = None  # for those that are awaited beside one that answers
        with self._changed:
            while True:
                pending = [name for name in names if self._is_pending(name)]
                awaited = [] if pending else [name for name in names if self._awaits_another(name)]
                if awaited:
                    latest = latest or time.monotonic() + _AWAITED_SECONDS
                    if time.monotonic() >= latest:
                        logger.warning("%s: not all versions are loaded; the others answer.", ", ".join(awaited))
                        awaited = []
                if not pending and not awaited:
                    return {name: self._failures(name) for name in names if not self._has_answering(name)}
                left = deadline - time.monotonic()
                if left <= 0 or self._closing.is_set():
                    raise StatusError(
                        Code.DEADLINE_EXCEEDED,
                        f"The models {', '.join(pending or awaited)} were not loaded in {timeout_seconds:.0f} s.",
                    )
                self._changed.wait(min(left, 1.0))

    def wait_until_settled(self, timeout_seconds: float) -> None:
        """Waits until no version of any model is about to load, or the time is up."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while any(
                record.state in (State.START, State.LOADING)
                for records in self._records.values()
                for record in records.values()
            ):
                left = deadline - time.monotonic()
                if left <= 0 or self._closing.is_set():
                    return
                self._changed.wait(min(left, 1.0))

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Unloads everything after the running requests; gives up on requests that exceed the timeout."""
        with self._changed:
            self._closing.set()
            for name in self._records:
                self._wanted[name] = {}
                self._reconcile(name)
            self._changed.notify_all()
            threads = list(self._threads)
        deadline = time.monotonic() + timeout_seconds
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _reconcile(self, name: str) -> None:
        """Begins the loads and unloads that lead from the present versions to the wanted ones."""
        wanted = self._wanted.get(name, {})
        records = self._records.setdefault(name, {})
        for record in records.values():
            record.is_wanted = record.is_wanted and record.version in wanted
        for version, path in sorted(wanted.items(), reverse=True):
            found = records.get(version)
            has_failed = found is not None and found.state is State.END and found.is_wanted and found.path == path
            if found is None or (found.state is State.END and not has_failed):
                self._start_load(VersionRecord(name, version, path))
            elif found.state in (State.START, State.LOADING):
                found.is_wanted, found.path = True, path
            elif found.state is State.AVAILABLE:
                found.is_wanted = True
                if path == found.path:
                    found.refused_path = None
                elif path != found.refused_path:
                    self._start_load(VersionRecord(name, version, path, predecessor=found))
            # a load that has failed would fail again; what is being unloaded is loaded again afterwards
        self._unload_unwanted(records, has_wanted=bool(wanted))

    def _unload_unwanted(self, records: Mapping[int, VersionRecord], *, has_wanted: bool) -> None:
        """Unloads unwanted versions, but keeps the highest as long as others are wanted and none of them answers."""
        unwanted = []
        for record in records.values():
            found = record.answering()
            if not record.is_wanted and found is not None:
                unwanted.append(found)
        if has_wanted and not any(record.is_wanted and record.answering() for record in records.values()):
            unwanted = sorted(unwanted, key=lambda record: record.version)[:-1]
        for record in unwanted:
            records[record.version].predecessor = None
            self._start_unload(record)

    def _start_load(self, record: VersionRecord) -> None:
        if record.predecessor is not None:
            logger.warning(
                "%s is loaded again, from %s in place of %s. (A stock server keeps the old one until the version's "
                "number changes.)",
                *(record, record.path, record.predecessor.path),
            )
        records = self._records[record.name]
        before = records.get(record.version)
        records[record.version] = record
        ticket = self._load_turns.take_ticket()  # here, so that the loads keep the order
        if not self._start_thread(lambda: self._load_version(record, ticket), f"load-{record}"):
            self._load_turns.give_back(ticket)
            if before is None:
                del records[record.version]
            else:
                records[record.version] = before

    def _load_version(self, record: VersionRecord, ticket: object) -> None:
        num_failures = 0
        while True:
            with self._load_turns.hold(ticket):
                with self._changed:
                    if self._is_cancelled(record):
                        break
                    record.state, path = State.LOADING, record.path
                servable, error = self._try_load(record, path)
            with self._changed:
                if record.path == path and servable is not None:
                    self._begin_serving(record, servable)
                    return
                num_failures = num_failures + 1 if record.path == path else 0
                if num_failures > self._max_retries:
                    self._end_load(record, error)
                    return
                if num_failures:
                    record.error = error
                    logger.warning("loading %s failed, trying again: %s", record, error)
                    self._changed.notify_all()
                    self._wait_to_retry(record, path)
            if servable is not None:  # of a folder that has been replaced meanwhile
                _close(servable, record)
            ticket = self._load_turns.take_ticket()
        with self._changed:
            record.is_wanted = False  # and so loaded again if it is wanted by now
            self._end_load(record, record.error or StatusError(Code.CANCELLED, "The load was cancelled."))

    def _try_load(self, record: VersionRecord, path: Path) -> tuple[Servable | None, StatusError | None]:
        try:
            return self._load(record.name, record.version, path), None
        except StatusError as error:
            return None, error
        except Exception as error:  # an unexpected error becomes a state that clients can read, not a dead thread
            logger.exception("loading %s failed", path)
            return None, StatusError(Code.UNKNOWN, f"{type(error).__name__}: {error}")

    def _wait_to_retry(self, record: VersionRecord, path: Path) -> None:
        """Waits before the next attempt, unless there is to be none, or one from another folder."""
        self._changed.wait_for(lambda: self._is_cancelled(record) or record.path != path, self._retry_seconds)

    def _is_cancelled(self, record: VersionRecord) -> bool:
        return self._closing.is_set() or not record.is_wanted

    def _begin_serving(self, record: VersionRecord, servable: Servable) -> None:
        predecessor, record.predecessor = record.predecessor, None
        record.servable, record.state, record.error = servable, State.AVAILABLE, None
        logger.info("serving %s", record)
        if predecessor is not None:
            self._start_unload(predecessor)
        self._reconcile(record.name)  # unloads this one, too, if it is unwanted by now, or the manager is closing
        self._changed.notify_all()

    def _end_load(self, record: VersionRecord, error: StatusError | None) -> None:
        logger.error("loading %s failed: %s", record, error)
        record.end(error)
        predecessor, record.predecessor = record.predecessor, None
        if predecessor is not None:
            predecessor.is_wanted = record.is_wanted
            predecessor.refused_path = record.path if record.is_wanted else None
            self._records[record.name][record.version] = predecessor
        self._reconcile(record.name)
        self._changed.notify_all()

    def _start_unload(self, record: VersionRecord) -> None:
        record.state = State.UNLOADING
        ticket = self._unload_turns.take_ticket
        if not self._start_thread(lambda: self._unload(record, ticket), f"unload-{record}"):
            record.state = State.AVAILABLE

    def _unload(self, record: VersionRecord, take_ticket: Callable[[], object]) -> None:
        with self._changed:
            while record.num_leases:
                self._changed.wait(1.0)
            servable, record.servable = record.servable, None
        if servable is not None:
            with self._unload_turns.hold(take_ticket()):
                _close(servable, record)
        with self._changed:
            record.end(None)
            logger.info("unloaded %s", record)
            self._reconcile(record.name)
            self._changed.notify_all()

    def _release(self, record: VersionRecord) -> None:
        with self._changed:
            record.num_leases -= 1
            if not record.num_leases and record.state is State.UNLOADING:
                self._changed.notify_all()

    def _has_answering(self, name: str) -> bool:
        return any(record.answering() for record in self._records.get(name, {}).values())

    def _is_pending(self, name: str) -> bool:
        """Returns whether no version of a model answers, but one is loading, or is about to."""
        return bool(self._versions_to_load(name)) and not self._has_answering(name)

    def _awaits_another(self, name: str) -> bool:
        """Returns whether an awaited version of a model is loading, or is about to, for the first time."""
        to_load = self._versions_to_load(name)
        records = [self._records.get(name, {}).get(version) for version in self.awaited(name) if version in to_load]
        return any(record is not None and record.answering() is None and record.error is None for record in records)

    def _versions_to_load(self, name: str) -> list[int]:
        records = self._records.get(name, {})
        return [
            version
            for version in self._wanted.get(name, {})
            if version not in records or records[version].state is not State.END or not records[version].is_wanted
        ]

    def _failures(self, name: str) -> list[VersionStatus]:
        records = self._records.get(name, {}).values()
        return [record.status() for record in records if record.is_wanted and record.state is State.END]

    def _start_thread(self, work: Callable[[], None], name: str) -> bool:
        """Starts a thread; returns whether it could be started: if not, the next poll tries again."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            logger.error("%s cannot begin: %s", name, error)
            return False
        self._threads = [thread for thread in self._threads if thread.is_alive()] + [thread]
        return True


def _close(servable: Servable, record: VersionRecord) -> None:
    try:
        servable.close()
    except Exception:  # the version ends all the same, and may be loaded again
        logger.exception("%s could not be freed", record)
