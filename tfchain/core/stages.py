"""The stages of a request: when tokenizing, encoding and searching began and ended, for whoever records it.

What works on a request marks its stages, and does not know whether anyone records them:

    with stage("encode"):
        vectors = encoder(token_ids)

A record belongs to the thread that made it, and costs the others nothing but a look.
"""

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from dataclasses import dataclass
from time import monotonic
from types import TracebackType

QUEUE, TOKENIZE, ENCODE, SEARCH, RUN, LOAD = "queue", "tokenize", "encode", "search", "run", "load"
_NOTHING: AbstractContextManager[None] = nullcontext()


@dataclass(slots=True)
class Stage:
    """A stage of a request.

    Args:
        name: `queue`, `tokenize`, `encode` or `search`; `run` for a graph that does the last three in one; `load` for
            a model that the request had to wait for.
        begin: When it began, by `time.monotonic`.
        end: When it ended.
    """

    name: str
    begin: float
    end: float


class StageRecord:
    """Takes the stages that are marked in this thread while its `with` block runs.

    Attributes:
        stages: The stages, in the order of their ends.
        model: The name of the model that the request was lent; empty if none.
        version: Its version.
    """

    __slots__ = ("_token", "is_within", "model", "stages", "version")

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.model = ""
        self.version = 0
        self.is_within = False  # a stage, whose own parts are not recorded
        self._token: Token[StageRecord | None] | None = None

    def __enter__(self) -> "StageRecord":
        self._token = _RECORD.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _RECORD.reset(self._token)

    def add(self, name: str, begin: float, end: float) -> None:
        """Adds a stage that has ended."""
        self.stages.append(Stage(name, begin, end))


_RECORD: ContextVar[StageRecord | None] = ContextVar("stages", default=None)


def find_record() -> StageRecord | None:
    """Returns the record of this thread's request; None if nobody records it."""
    return _RECORD.get()


def stage(name: str) -> AbstractContextManager[None]:
    """Returns a `with` block for a stage; it does nothing if nobody records it, or within another stage."""
    record = _RECORD.get()
    return _NOTHING if record is None or record.is_within else _MarkedStage(record, name)


class _MarkedStage(Stage):
    """A stage as its own `with` block: one object a stage, as each request of a server makes some."""

    __slots__ = ("_record",)

    def __init__(self, record: StageRecord, name: str) -> None:
        self.name = name
        self._record = record

    def __enter__(self) -> None:
        self._record.is_within = True
        self.begin = monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end = monotonic()
        record = self._record
        del self._record  # a circle would be left to the garbage collector
        record.is_within = False
        record.stages.append(self)
