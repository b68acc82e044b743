"""Fakes for the schedulers' tests: counters that a test can wait for, an engine that it holds, and a servable."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfchain.deployment.server.batching.statistics import BatchingStatistics
from tfchain.deployment.server.servables.dtypes import DT_FLOAT, DT_INT32, DT_STRING
from tfchain.deployment.server.servables.servable import Signature, TensorSpec

SECONDS = 10.0  # after which a test that waits has failed


class WatchedStatistics(BatchingStatistics):
    """Counters for whose values a test can wait, without looking again and again."""

    def __init__(self, listener: Any = None) -> None:
        object.__setattr__(self, "changed", threading.Condition())
        super().__init__(listener)

    def __setattr__(self, name: str, value: Any) -> None:
        with self.changed:
            super().__setattr__(name, value)
            self.changed.notify_all()

    def wait_for(self, condition: Callable[["WatchedStatistics"], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), SECONDS), vars(self)

    def wait_for_queue(self, length: int) -> None:
        self.wait_for(lambda counted: counted.queue_length == length)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """Holds whoever passes, while it is shut; counts those who came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_shut = False
        self._num_come = 0

    def shut(self) -> None:
        with self._changed:
            self._is_shut = True

    def open(self) -> None:
        with self._changed:
            self._is_shut = False
            self._changed.notify_all()

    def go_through(self) -> None:
        with self._changed:
            self._num_come += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: not self._is_shut, SECONDS)

    def wait_for(self, num_come: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._num_come >= num_come, SECONDS)


class Callers:
    """Threads that each make a call; use it in a `with` block."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(40)

    def __enter__(self) -> "Callers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def call(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        return self._pool.submit(function, *arguments)


def make_signature(name: str, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Signature:
    return Signature(
        name,
        {key: TensorSpec(f"{name}_{key}:0", dtype) for key, dtype in inputs.items()},
        {key: TensorSpec(f"{name}_out_{key}:0", dtype) for key, dtype in outputs.items()},
    )


def make_proto(signature: Signature, shapes: Mapping[str, Sequence[int]]) -> Any:
    """A stand-in for a `SignatureDef`: its inputs and outputs with dtype and shape."""

    def info(key: str, spec: TensorSpec) -> Any:
        dimensions = [SimpleNamespace(size=size) for size in shapes.get(key, [-1])]
        return SimpleNamespace(dtype=spec.dtype, tensor_shape=SimpleNamespace(unknown_rank=False, dim=dimensions))

    return SimpleNamespace(
        inputs={key: info(key, spec) for key, spec in signature.inputs.items()},
        outputs={key: info(key, spec) for key, spec in signature.outputs.items()},
    )


class FakeServable:
    """A version with signatures of texts, token ids and numbers; records its runs, and waits at a gate.

    A text `bad` makes a run fail, and `die` makes it fail with an error that is not a status.
    """

    def __init__(self) -> None:
        self.signatures = {
            signature.name: signature
            for signature in (
                make_signature("embed", {"text": DT_STRING}, {"embedding": DT_FLOAT, "length": DT_INT32}),
                make_signature("other", {"text": DT_STRING}, {"embedding": DT_FLOAT}),
                make_signature("pair", {"text": DT_STRING, "text_pair": DT_STRING}, {"embedding": DT_FLOAT}),
                make_signature("tokenize", {"text": DT_STRING}, {"token_ids": DT_INT32, "padding_mask": DT_INT32}),
                make_signature("embed_ids", {"token_ids": DT_INT32, "padding_mask": DT_INT32}, {"embedding": DT_FLOAT}),
                make_signature("double", {"x": DT_FLOAT}, {"y": DT_FLOAT}),
                make_signature("sum", {"x": DT_FLOAT}, {"s": DT_FLOAT}),
                make_signature("twice", {"x": DT_FLOAT}, {"y": DT_FLOAT}),
            )
        }
        shapes = {
            "embedding": [-1, 2],
            "token_ids": [-1, -1],
            "padding_mask": [-1, -1],
            "s": [],
        }
        self.signature_defs = {name: make_proto(each, shapes) for name, each in self.signatures.items()}
        self.gate = Gate()
        self.runs: list[tuple[str, int]] = []
        self.inputs: list[dict[str, np.ndarray]] = []
        self.timeouts: list[int | None] = []
        self.is_closed = False

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        from tfchain.deployment.server.status import invalid_argument

        first = next(iter(inputs.values()))
        self.runs.append((signature.name, len(first) if first.ndim else -1))
        self.inputs.append(dict(inputs))
        self.timeouts.append(timeout_ms)
        self.gate.go_through()
        texts = list(first) if first.dtype == object and first.ndim == 1 else []
        if b"bad" in texts:
            raise invalid_argument("bad input")
        if b"die" in texts:
            raise RuntimeError("died")
        values = {"s": lambda: np.float32(first.sum()).reshape(()), "y": lambda: first * 2}
        if signature.name == "twice":
            values["y"] = lambda: np.concatenate([first, first])
        numbers = [len(text) for text in texts] if texts else [float(np.sum(row)) for row in np.atleast_1d(first)]
        values["embedding"] = lambda: np.array([[number, -number] for number in numbers], np.float32)
        values["length"] = lambda: np.array(numbers, np.int32)
        values["token_ids"] = values["padding_mask"] = lambda: np.zeros((len(first), max(numbers)), np.int32)
        return [values[name]() for name in outputs]

    def close(self) -> None:
        self.is_closed = True


def texts(*values: str) -> dict[str, np.ndarray]:
    """A request of texts."""
    return {"text": np.array([value.encode() for value in values], dtype=object)}


def floats(*values: float) -> dict[str, np.ndarray]:
    """A request of numbers."""
    return {"x": np.array(values, np.float32)}
