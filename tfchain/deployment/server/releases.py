"""Serving what `releases.json` of a base path says: the live version, a canary's share of requests, their counts."""

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tfchain.core.errors import InputError
from tfchain.deployment.release_state import ReleaseState, read_state
from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.metrics.registry import Counter, Histogram, Registry, exponential_bounds
from tfchain.deployment.server.policies import Policy, Versions
from tfchain.deployment.server.servables.servable import Servable, Signature, WrappedServable
from tfchain.deployment.server.shadow import ShadowCopies
from tfchain.deployment.server.status import Code, StatusError

logger = logging.getLogger(__name__)

_SECONDS = exponential_bounds(0.0001, 1.6, 30)  # to 83 s
_GOLDEN = 0.6180339887498949  # of a low-discrepancy sequence: any stretch of requests has nearly the wanted share


class Traffic:
    """Which version a request without a version gets, and what versions under release are asked. Threads may share it.

    Args:
        registry: The server's metrics.
        is_on: Whether base paths' releases are followed at all. Default: True.

    Attributes:
        shadow: Copies requests to a shadow; None before `attach`.
    """

    def __init__(self, registry: Registry, *, is_on: bool = True) -> None:
        self.shadow: ShadowCopies | None = None
        self._is_on = is_on
        self._registry = registry
        self._states: Mapping[str, ReleaseState] = {}  # replaced as a whole
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()
        self._requests = registry.add(
            Counter(
                "tfchain_version_requests_total",
                "Runs of the versions of a model under release, by status.",
                ("model", "version", "status"),
            )
        )
        self._seconds = registry.add(
            Histogram(
                "tfchain_version_seconds",
                "How long runs of the versions of a model under release take.",
                ("model", "version"),
                bounds=_SECONDS,
            )
        )

    def follow_models(self, models: dict[str, ModelConfig] | None) -> dict[str, ModelConfig] | None:
        """Returns models of which each follows the releases of its base path."""
        if not self._is_on or models is None:
            return models
        return {
            name: replace(model, policy=Released(model.base_path, model.policy, self)) for name, model in models.items()
        }

    def attach(self, manager: Manager) -> None:
        """Has a manager ask which version a request gets, and which it waits for, and starts to copy requests."""
        if not self._is_on:
            return
        manager.choose = self.choose
        manager.awaited = self.find_awaited
        self.shadow = ShadowCopies(lambda name, version: manager.lend(ModelSpec(name, version)), self._registry)
        self.shadow.start()

    def close(self) -> None:
        """Ends the copying of requests."""
        if self.shadow is not None:
            self.shadow.close()

    def follow(self, name: str, state: ReleaseState) -> None:
        """Takes a model's releases as they are now."""
        if self._states.get(name) != state:
            with self._lock:
                self._states = {**self._states, name: state}

    def find_state(self, name: str) -> ReleaseState | None:
        """Returns a model's releases; None if nothing was ever released."""
        state = self._states.get(name)
        return None if state is None or state.live is None else state

    def find_awaited(self, name: str) -> Collection[int]:
        """Returns the versions among which a model's requests are shared: none is to get the share of another."""
        state = self.find_state(name)
        return () if state is None else [version for version in (state.live, state.canary) if version is not None]

    def choose(self, name: str, answering: Collection[int]) -> int | None:
        """Returns the version for a request that names none; None to leave it to the server's own rule."""
        state = self.find_state(name)
        if state is None:
            return None
        if state.canary in answering and (state.live not in answering or self._is_canarys_turn(name, state)):
            return state.canary
        if state.live in answering:
            return state.live
        others = [version for version in answering if version != state.shadow]
        return max(others, default=None)

    def watch(self, servable: Servable, name: str, version: int) -> Servable:
        """Returns a version whose runs are counted and copied as long as its model is under release."""
        if not self._is_on:
            return servable
        return ReleasedServable(servable, self, name, version)

    def count(self, name: str, version: int, status: str, seconds: float | None = None) -> None:
        """Counts a run, and measures it if it succeeded."""
        self._requests.labels(name, str(version), status).add()
        if seconds is not None:
            self._seconds.labels(name, str(version)).observe(seconds)

    def forget(self, name: str, version: int) -> None:
        """Removes what was counted of a version that is unloaded, as with all metrics by version."""
        for metric in (self._requests, self._seconds):
            for values, _ in metric.cells():
                if values[:2] == (name, str(version)):
                    metric.remove(*values)
        if self.shadow is not None:
            self.shadow.forget(name, version)

    def _is_canarys_turn(self, name: str, state: ReleaseState) -> bool:
        with self._lock:
            number = self._asked[name] = self._asked.get(name, 0) + 1
        return number * _GOLDEN % 1.0 < state.canary_percent / 100


class ReleasedServable(WrappedServable):
    """A version that may be under release; see `Servable` for its methods.

    Args:
        servable: The version; `close` closes it.
        traffic: The releases of all models.
        name: The model's name.
        version: The version.
    """

    def __init__(self, servable: Servable, traffic: Traffic, name: str, version: int) -> None:
        super().__init__(servable)
        self._traffic = traffic
        self._name = name
        self._version = version

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature, and counts and copies the run if the model is under release."""
        traffic = self._traffic
        state = traffic.find_state(self._name)
        if state is None:
            return self._servable.run(signature, inputs, outputs, timeout_ms)
        start = time.perf_counter()
        try:
            values = self._servable.run(signature, inputs, outputs, timeout_ms)
        except Exception as error:
            code = error.code if isinstance(error, StatusError) else Code.INTERNAL
            traffic.count(self._name, self._version, code.name)
            raise
        seconds = time.perf_counter() - start
        traffic.count(self._name, self._version, "OK", seconds)
        if state.shadow is not None and self._version == state.live and traffic.shadow is not None:
            answer = dict(zip(outputs, values, strict=True))
            traffic.shadow.offer(self._name, state, signature.name, inputs, answer, seconds)
        return values

    def close(self) -> None:
        """Closes the version, and forgets what was counted of it."""
        try:
            super().close()
        finally:
            self._traffic.forget(self._name, self._version)


@dataclass(frozen=True)
class Released:
    """Serves the versions of a base path's `releases.json`, and without one those of another policy.

    A file that cannot be read changes nothing: what was served before goes on.

    Args:
        base_path: The base path.
        otherwise: The policy for a base path where nothing was released yet.
        traffic: What is told of each state.
    """

    base_path: Path
    otherwise: Policy
    traffic: Traffic = field(compare=False, repr=False)

    def __call__(self, name: str, versions: Versions) -> Versions:
        """Chooses the versions to serve."""
        try:
            state = read_state(self.base_path)
        except (InputError, OSError) as error:
            before = self.traffic.find_state(name)
            logger.error("model %s: %s", name, error)
            state = before or ReleaseState()
        self.traffic.follow(name, state)
        if state.live is None:
            return self.otherwise(name, versions)
        found = {version: path for version, path in versions.items() if version in state.served}
        if state.live not in found and state.canary not in found:
            logger.warning("model %s: its live version %d is not in %s.", name, state.live, self.base_path)
            return {**found, **self.otherwise(name, versions)}
        return found
