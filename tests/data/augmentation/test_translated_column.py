"""A column's translation in another column."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.augmentation.translated_column import TranslateColumn
from tfchain.data.steps.run import StepsRun

WORDS = {"猫": "cat", "狗": "dog", "?": " "}


def backwards(texts):
    return [WORDS[text] for text in texts]


def test_sources_are_written_for_targets_that_have_none() -> None:
    rows = [{"target": "猫"}, {"target": "狗", "source": "a dog"}, {"target": "猫", "id": 3}, {"target": "?"}]
    run = StepsRun([TranslateColumn(translate=backwards)])
    made = run.process(rows)
    assert made == [{"target": "猫", "source": "cat"}, rows[1], {"target": "猫", "id": 3, "source": "cat"}]
    assert (run.logs[0].dropped, run.logs[0].changed) == ({"no translation": 1}, {"translate_column": 2})


def test_a_teacher_replaces_targets() -> None:
    step = TranslateColumn("source", into="target", replace=True, translate=lambda texts: [t.upper() for t in texts])
    assert list(step([{"source": "cat", "target": "猫"}])) == [{"source": "cat", "target": "CAT"}]


def test_what_cannot_be_translated_is_an_error() -> None:
    with pytest.raises(InputError, match="`into` must be another column"):
        TranslateColumn("source", into="source")
    with pytest.raises(InputError, match="needs `translate`"):
        list(TranslateColumn()([{"target": "猫"}]))
    for row in ({"source": "cat"}, {"target": " "}):
        with pytest.raises(InputError, match="needs rows with a text in `target`"):
            list(TranslateColumn(translate=backwards)([row]))
    with pytest.raises(InputError, match="must return a text for each text. Received: 0 for 1"):
        list(TranslateColumn(translate=lambda texts: [])([{"target": "猫"}]))
