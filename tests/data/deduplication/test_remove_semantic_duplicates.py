"""Tests of removing records that mean the same, with vectors given by hand."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.deduplication.remove_semantic_duplicates import RemoveSemanticDuplicates
from tfchain.data.steps.run import StepsRun

DEGREES = {"north": 0, "nearly north": 10, "north east": 40, "east": 90, "nearly east": 85, "south": 180}


def encode(texts):
    radians = np.radians([DEGREES[text] for text in texts])
    return np.stack([np.cos(radians), np.sin(radians)], axis=1) * 3  # the length does not matter


ROWS = [{"id": name, "text": name} for name in DEGREES]


@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_close_vectors_go(storage):
    # cos 10° = 0.985, cos 5° = 0.996, cos 30° = 0.866, cos 40° = 0.766
    step = RemoveSemanticDuplicates(threshold=0.95, storage=storage, encode=encode)
    assert [row["id"] for row in step(ROWS)] == ["north", "north east", "east", "south"]
    step = RemoveSemanticDuplicates(threshold=0.75, storage=storage, encode=encode)
    assert [row["id"] for row in step(ROWS)] == ["north", "east", "south"]


@pytest.mark.parametrize("storage", ["float32", "int8"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_blocks_and_a_saved_state_change_nothing(size, storage, tmp_path):
    entries, kept = [], []
    run = StepsRun([RemoveSemanticDuplicates(0.95, storage, encode=encode)], write=entries.append)
    for start in range(0, len(ROWS), size):
        kept += run.process(ROWS[start : start + size])
        folder = tmp_path / str(start)
        folder.mkdir()
        run.save_states(folder)
        run.load_states(folder)
    assert [row["id"] for row in kept] == ["north", "north east", "east", "south"]
    assert [entry["detail"][:-7] for entry in entries] == [
        "means the same as north (cosine",
        "means the same as east (cosine",
    ]
    assert run.states[0].vectors.rows.dtype == storage


def test_a_record_without_texts_stays_and_is_not_encoded():
    rows = [{"url": "x"}, {"text": "north"}, {"url": "x"}, {"text": "north"}]
    assert list(RemoveSemanticDuplicates(encode=encode)(rows)) == rows[:3]


def test_settings_are_plain_and_tell_the_encoder():
    class Encoder:
        fingerprint = "abc"

        def __call__(self, texts):
            return encode(texts)

    plain = {"threshold": 0.95, "storage": "float32", "columns": ()}
    assert RemoveSemanticDuplicates(encode=encode).settings() == plain
    assert RemoveSemanticDuplicates(encode=Encoder()).settings() == {**plain, "encoder": "abc"}


def test_a_missing_encoder_is_said_before_any_record():
    with pytest.raises(InputError, match="The step remove_semantic_duplicates needs `encode`, which comes from"):
        StepsRun([RemoveSemanticDuplicates()])


def test_a_run_binds_its_encoder():
    bound = RemoveSemanticDuplicates(threshold=0.9).bind(encode=encode, count_tokens=len)
    assert bound == RemoveSemanticDuplicates(threshold=0.9)
    assert [row["id"] for row in bound(ROWS[:3])] == ["north", "north east"]


def test_an_encoder_in_a_file_is_refused():
    with pytest.raises(InputError, match="`encode` must be a function from texts to vectors. Received: encode="):
        RemoveSemanticDuplicates(encode="minilm")


@pytest.mark.parametrize("answer", [np.zeros(2), np.zeros((1, 2)), np.full((2, 2), np.nan)])
def test_wrong_vectors_are_refused(answer):
    step = RemoveSemanticDuplicates(encode=lambda texts: answer)
    with pytest.raises(InputError, match="must return one vector of finite numbers for each text. Received: an array"):
        list(step([{"text": "a"}, {"text": "b"}]))
