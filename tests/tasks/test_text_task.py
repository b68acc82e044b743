"""What every task of texts does: metrics by name, targets, and what an evaluation depends on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.text_rows import TextRows
from tfchain.tasks.text_task import TextTask


class LengthTask(TextTask):
    """Measures numbers that a test can tell apart."""

    name = "length"
    metrics = ("first", "second", "third")

    def measure(self, outputs: np.ndarray, rows: TextRows, state: Any) -> Mapping[str, float]:
        return {"first": np.float32(len(rows)), "second": outputs.sum(), "third": np.float64(state)}


class LengthEncoder:
    """Gives each text its length; it must be asked without a prompt."""

    def encode(self, texts: list[str], *, prompt: str, batch_size: int, progress: bool | None) -> np.ndarray:
        assert (prompt, batch_size, progress) == ("", 7, False)
        return np.array([[len(text)] for text in texts], "float32")


TASK = LengthTask()
ROWS = TextRows(["a", "bc"], [1, 2])


def test_a_wrong_metric_or_a_single_name_is_refused() -> None:
    TASK.check_metrics(["second", "first"])
    TASK.check_metrics([])
    for metrics in (["first", "fourth"], "first", "fourth"):
        with pytest.raises(InputError, match="`metrics` must be a list of first, second, third. Received: metrics="):
            TASK.check_metrics(metrics)


def test_an_evaluation_gives_the_metrics_that_were_asked_for_as_plain_numbers() -> None:
    evaluate = TASK.make_evaluation(ROWS, 5, metrics=["third", "second"], batch_size=7, progress=False)
    found = evaluate(LengthEncoder())
    assert found == {"third": 5.0, "second": 3.0}
    assert list(found) == ["third", "second"]
    assert {type(value) for value in found.values()} == {float}


def test_an_evaluation_depends_on_every_text_and_every_target() -> None:
    others = [
        TextRows(["a", "bc"], [1, 3]),
        TextRows(["a", "bd"], [1, 2]),
        TextRows(["bc", "a"], [2, 1]),
        TextRows(["a", "bc"], [1, 2], ["d", "e"]),
        TextRows(["a", "bc"], [1, 2], ["d", "f"]),
    ]
    (first,) = TASK.describe_judged(ROWS, None).values()
    found = {TASK.describe_judged(rows, None)["judged"] for rows in others}
    assert len(found | {first}) == 6
    assert TASK.describe_judged(TextRows(("a", "bc"), (1, 2)), None) == {"judged": first}


def test_the_first_metric_is_the_objective_and_all_are_compared() -> None:
    assert (TASK.objective, TASK.compared) == ("first", ("first", "second", "third"))


def test_targets_are_float32_with_a_row_for_each_text() -> None:
    targets = TASK.to_targets(ROWS, None)
    assert (targets.tolist(), targets.dtype) == ([[1], [2]], "float32")


def test_the_workload_is_texts_as_they_are_encoded() -> None:
    pairs = TextRows(["a"], [1], ["b"])
    assert TASK.workload(pairs, None) == (["a b"], ["a b"])


def test_what_users_ask_is_single_texts() -> None:
    assert TASK.asked(TextRows(["a", "b"], [1, 2])) == (["a", "b"], None)
    with pytest.raises(InputError, match="must be single texts. Received: pairs of texts"):
        TASK.asked(TextRows(["a"], [1], ["b"]))


def test_a_metric_that_is_not_measured_is_named() -> None:
    class Forgetful(LengthTask):
        metrics = ("first", "second", "third", "fourth")

    evaluate = Forgetful().make_evaluation(ROWS, 5, metrics=["first", "fourth"], batch_size=7, progress=False)
    with pytest.raises(InputError, match="`measure` of Forgetful must return all of its `metrics`. .* no 'fourth'"):
        evaluate(LengthEncoder())


def test_a_setting_that_a_chain_keeps_itself_is_refused() -> None:
    @dataclass(frozen=True)
    class Reported(LengthTask):
        scale: int = 1
        report: int = 3

    with pytest.raises(InputError, match="Reported has a setting named 'report', which a chain keeps itself"):
        Reported().settings()


@dataclass(frozen=True)
class Sizes:
    width: int
    names: tuple[str, ...] = ()


class Model:
    """A model of one file."""

    fingerprint = "a" * 64

    def save(self, path: Path) -> None:
        (path / "weights").write_text("")


def test_a_state_that_could_not_be_read_back_is_refused_and_the_earlier_save_stays(tmp_path: Path) -> None:
    class Read(LengthTask):
        def from_plain(self, values: Any) -> Sizes:
            return Sizes(values["width"], tuple(values["names"]))

    model: Any = Model()
    Read().open_folder(tmp_path).save(model, Sizes(3, ("a",)), {})
    with pytest.raises(InputError, match="LengthTask has a dataclass as its state, Sizes, .* override `from_plain`"):
        TASK.open_folder(tmp_path).save(model, Sizes(4), {})
    with pytest.raises(InputError, match="The state must be values that JSON can hold. .* float32 is not JSON"):
        TASK.open_folder(tmp_path).save(model, {"width": np.float32(5)}, {})
    assert Read.load_folder(tmp_path).state == Sizes(3, ("a",))


def test_a_version_is_judged_by_the_tasks_own_measure() -> None:
    class Version:
        signatures = ("embed",)
        description: Mapping[str, Any] = MappingProxyType({})

        def ask(self, question: Any) -> dict[str, np.ndarray]:
            return {"embedding": np.array([[float(len(text))] for text in question.inputs["text"]], "float32")}

    judgement = TASK.make_judge(ROWS, 5)(Version())
    assert judgement.metric == TASK.objective
    outputs = np.array([[float(len(text.encode()))] for text in ROWS.texts], "float32")
    assert judgement.score == pytest.approx(TASK.measure(outputs, ROWS, 5)[TASK.objective])
    assert len(judgement.values) == len(ROWS)
