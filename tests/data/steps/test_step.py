"""Tests of the contract of steps: alone, in a run, in blocks of any size."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.steps.record import change_texts, record_id, texts_of, to_dict
from tfchain.data.steps.run import StepsRun, run_steps
from tfchain.data.steps.step import FilterStep, RecordStep, Step, TextStep, random_of
from tfchain.data.steps.step_log import StepLog


@dataclass(frozen=True)
class Shout(TextStep):
    name = "shout"

    def change(self, text: str, found: Counter[str]) -> str:
        return "" if text == "hush" else text.upper()


@dataclass(frozen=True)
class Without(FilterStep):
    name = "without"
    letter: str = "x"

    def reason(self, record):
        return "has the letter" if any(self.letter in text for text in texts_of(record).values()) else None


@dataclass(frozen=True)
class Twice(RecordStep):
    name = "twice"

    def expand(self, record, log):
        yield record
        log.add(record, "copy")
        yield record


@dataclass(frozen=True)
class Last(Step):
    """Holds every record back until the end, and passes on the last one."""

    name = "last"
    per_record = False

    def new_state(self):
        return []

    def process(self, records, log, state):
        state.extend(records)
        return []

    def finish(self, log, state):
        for record in state[:-1]:
            log.drop(record, "not the last")
        return state[-1:]

    def save_state(self, state, folder):
        (folder / "texts").write_text("\n".join(record["text"] for record in state))

    def load_state(self, folder):
        return [{"text": line} for line in (folder / "texts").read_text().splitlines()]


def test_texts_are_the_columns_that_training_reads():
    row = {"query": "q", "positive": "p", "negatives": ["a", "b"], "label": "top_up", "url": "x", "id": "7", "score": 1}
    assert texts_of(row) == {"query": "q", "positive": "p", "negatives[0]": "a", "negatives[1]": "b"}
    assert texts_of(Document("1", "body")) == {"text": "body"}
    assert texts_of({"negative_3": "n", "negative_x": "m"}) == {"negative_3": "n"}


def test_changing_texts_leaves_the_rest_and_the_record_itself():
    row = {"query": "q", "negatives": ["a", "b"], "label": "q"}
    assert change_texts(row, lambda name, text: text.upper()) == {"query": "Q", "negatives": ["A", "B"], "label": "q"}
    assert row == {"query": "q", "negatives": ["a", "b"], "label": "q"}
    assert change_texts(row, lambda name, text: text) is row
    document = Document("1", "body", "title", {"year": 1})
    assert change_texts(document, lambda name, text: text + "!") == Document("1", "body!", "title!", {"year": 1})
    assert change_texts(document, lambda name, text: text) is document


def test_a_row_without_an_id_is_known_by_its_content():
    assert record_id({"id": 7, "text": "a"}) == "7"
    assert record_id({"text": "a", "label": 1}) == record_id({"label": 1, "text": "a"})
    assert record_id({"text": "a"}) != record_id({"text": "b"})


def test_a_document_becomes_a_dict_without_empty_parts():
    assert to_dict(Document("1", "body")) == {"id": "1", "text": "body"}
    assert to_dict(Document("1", "b", "t", {"y": 1})) == {"id": "1", "title": "t", "text": "b", "metadata": {"y": 1}}


def test_a_step_runs_alone():
    assert list(Shout()([Document("1", "a"), {"text": "b", "label": "b"}])) == [
        Document("1", "A"),
        {"text": "B", "label": "b"},
    ]


def test_a_record_without_text_left_is_dropped_and_counted():
    run = StepsRun([Shout()])
    assert run.process([{"text": "hush"}, {"text": "a"}, {"text": "A"}]) == [{"text": "A"}, {"text": "A"}]
    log = run.logs[0]
    assert (log.received, log.passed, log.dropped, log.changed) == (3, 2, {"no text left": 1}, {"shout": 1})


def test_steps_run_in_order_and_held_records_run_through_the_steps_after():
    run = StepsRun([Without("c"), Last(), Twice(), Shout()])
    assert run.process([{"text": "a"}, {"text": "b"}, {"text": "c"}]) == []
    assert run.finish() == [{"text": "B"}, {"text": "B"}]
    assert [(log.received, log.passed) for log in run.logs] == [(3, 2), (2, 1), (1, 2), (2, 2)]
    assert run.logs[1].dropped == {"not the last": 1}
    assert run.logs[2].added == {"copy": 1}


def test_a_run_resumes_from_its_states(tmp_path: Path):
    first = StepsRun([Without("c"), Last()])
    first.process([{"text": "a"}, {"text": "b"}])
    first.save_states(tmp_path)
    second = StepsRun([Without("c"), Last()])
    second.load_states(tmp_path)
    assert second.process([{"text": "c"}]) == []
    assert second.finish() == [{"text": "b"}]


def test_more_records_than_a_block_come_out_in_order():
    records = [{"text": str(number)} for number in range(2500)]
    assert list(run_steps(iter(records), [Shout()])) == records


def test_what_is_no_step_is_refused_before_anything_is_read():
    with pytest.raises(InputError, match=r"Received: steps\[1\]=<class .*Shout'>. Write Shout\(\)."):
        run_steps([], [Shout(), Shout])
    with pytest.raises(InputError, match=r"`steps` must be steps, such as RepairText\(\). Received: steps\[0\]='a'."):
        run_steps([], ["a"])


def test_a_log_keeps_few_examples_and_writes_all_to_the_side_file():
    entries = []
    log = StepLog("clean", entries.append, num_examples=1)
    log.drop(Document("1", "a" * 300), "too long", detail="300 characters")
    log.drop(Document("2", "b"), "too long")
    log.change(Document("3", "old", "same"), Document("3", "new", "same"), "repair")
    assert entries == [
        {
            "step": "clean",
            "action": "dropped",
            "reason": "too long",
            "id": "1",
            "detail": "300 characters",
            "record": {"id": "1", "text": "a" * 300},
        },
        {"step": "clean", "action": "dropped", "reason": "too long", "id": "2", "record": {"id": "2", "text": "b"}},
        {
            "step": "clean",
            "action": "changed",
            "reason": "repair",
            "id": "3",
            "before": {"text": "old"},
            "after": {"text": "new"},
        },
    ]
    shown = log.to_dict()
    assert (shown["dropped"], shown["changed"]) == ({"too long": 2}, {"repair": 1})
    assert [entry["id"] for entry in shown["examples"]] == ["1", "3"]
    assert shown["examples"][0]["record"]["text"] == "a" * 200 + "…"


def test_logs_of_two_workers_add_up():
    mine, other = StepLog("clean", num_examples=2), StepLog("clean", num_examples=2)
    mine.drop({"text": "a"}, "short")
    for text in "bc":
        other.drop({"text": text}, "short")
    other.received = 5
    mine.merge(other)
    assert (mine.dropped, mine.received) == ({"short": 3}, 5)
    assert [entry["record"]["text"] for entry in mine.to_dict()["examples"]] == ["a", "b"]


def test_random_choices_depend_on_seed_step_and_record_alone():
    record = Document("1", "a")
    assert random_of(0, "swap", record).random() == random_of(0, "swap", Document("1", "other")).random()
    others = [random_of(1, "swap", record), random_of(0, "delete", record), random_of(0, "swap", Document("2", "a"))]
    assert all(other.random() != random_of(0, "swap", record).random() for other in others)


@dataclass(frozen=True)
class Longest(FilterStep):
    name = "longest"
    needs = ("count_tokens",)
    most: int = 2
    count_tokens: Any = field(default=None, repr=False, compare=False)

    def reason(self, record):
        return "long" if self.count_tokens([record["text"]])[0] > self.most else None


def test_a_step_gets_the_callables_that_it_needs_and_its_settings_stay_plain():
    def count_words(texts):
        return [len(text.split()) for text in texts]

    step = Longest(most=1)
    bound = step.bind(count_tokens=count_words, encode=len)
    assert list(bound([{"text": "a b"}, {"text": "a"}])) == [{"text": "a"}]
    assert (bound, bound.settings(), bound.missing()) == (step, {"most": 1}, [])
    assert step.missing() == ["count_tokens"]
    assert bound.bind(count_tokens=len) is bound
    with pytest.raises(InputError, match=r"The step longest needs `count_tokens`, which comes from a model. .*Longest"):
        list(step([{"text": "a"}]))
