"""The settings of a chain by the types of its arguments: what a file's values become, and what is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from tfchain.chains.chain_types import CHAINS, find_chain_type
from tfchain.core.errors import InputError
from tfchain.jobs.chain_settings import find_settings, make_settings


@dataclass(frozen=True)
class Reading:
    """Options that travel together, as chains take them."""

    stride: int = 128
    columns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.stride < 0:
            raise InputError(f"`stride` must be at least 0. Received: stride={self.stride}.")


@dataclass(frozen=True)
class Shape:
    """Options with options of their own."""

    reading: Reading
    width: int = 1


class Chain:
    def __init__(
        self,
        reader: Any = None,
        model: Any = None,
        epochs: int = 1,
        *,
        reading: Reading | None = None,
        corpus: str | Path | None = None,
        shape: Shape | None = None,
        mode: Literal["long", "short"] = "long",
        **hyperparameters: float,
    ) -> None: ...

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, precision: str | None = None, **options: Any) -> "Chain":
        return cls(None, name_or_path, **options)


class Strict(Chain):
    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, precision: str | None = None) -> "Chain":
        return cls(None, name_or_path)


PLACES = {"chain": "f:1", "reading": "f:2", "reading.stride": "f:3", "mode": "f:4"}


def test_a_reader_that_takes_options_has_the_constructors_settings_too() -> None:
    own = {"reader": Any, "reading": Reading | None, "corpus": str | Path | None, "shape": Shape | None}
    own["mode"] = Literal["long", "short"]
    assert find_settings(Chain) == own
    assert find_settings(Chain.from_pretrained) == {**own, "precision": str | None}
    assert find_settings(Strict.from_pretrained) == {"precision": str | None}


def test_a_mapping_becomes_the_dataclass_of_its_argument() -> None:
    made = make_settings(find_settings(Chain), {"reading": {"stride": 5, "columns": ["a", "b"]}}, PLACES)
    assert made == {"reading": Reading(5, ("a", "b"))}
    assert make_settings(find_settings(Chain), {"reading": None}, PLACES) == {"reading": None}
    made = make_settings(find_settings(Chain), {"shape": {"reading": {"stride": 5}, "width": 2}}, PLACES)
    assert made == {"shape": Shape(Reading(5), 2)}


def test_a_text_that_names_a_file_is_its_path_where_an_argument_takes_one(tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    settings = {"corpus": "long", "reader": "org/long", "mode": "long"}
    made = make_settings(find_settings(Chain), settings, PLACES, folder=tmp_path)
    assert made == {"corpus": tmp_path / "long", "reader": "org/long", "mode": "long"}
    assert (
        make_settings(find_settings(Chain), {"reader": "long"}, PLACES, folder=tmp_path)["reader"] == tmp_path / "long"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modes": "long"}, "f:1: The chain of this task has no setting `modes`. Did you mean `mode`?"),
        ({"mode": "wide"}, "f:4: `mode` must be one of long, short. Received: 'wide'."),
        ({"reading": 3}, "f:2: `reading` must be a mapping or empty. Received: 3."),
        ({"reading": {"strides": 3}}, "f:2: There is no key `reading.strides`. Did you mean `stride`?"),
        ({"reading": {"stride": "far"}}, "f:3: `reading.stride` must be a whole number. Received: 'far'."),
        ({"reading": {"columns": [1]}}, "f:2: `reading.columns` must be a list (a text each) or empty. Received: [1]."),
        ({"reading": {"stride": -1}}, "f:3: `stride` must be at least 0. Received: stride=-1."),
        ({"shape": {"width": 2}}, "f:1: `shape` cannot be made of {'width': 2}: "),
        ({"shape": {"reading": {"strid": 2}}}, "f:1: There is no key `shape.reading.strid`. Did you mean `stride`?"),
        ({"epochs": 3}, "f:1: The chain of this task has no setting `epochs`."),
    ],
)
def test_what_cannot_be_is_named_with_its_line(settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_settings(find_settings(Chain), settings, PLACES)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("task", CHAINS)
def test_the_settings_of_each_task_have_types_that_a_file_is_checked_by(task: str) -> None:
    kind = find_chain_type(task)
    for make in filter(None, (kind, getattr(kind, "from_pretrained", None))):
        known = find_settings(make)
        assert known
        assert not all(hint is Any for hint in known.values())  # types that are known to type checkers alone
        assert not {"tokenizer", "model", "learning_rate", "batch_size", "epochs"} & set(known)
        if get_args(known.get("engine")):
            assert {"auto", "tensorflow"} <= set(get_args(known["engine"]))
