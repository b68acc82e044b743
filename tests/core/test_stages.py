"""The stages of a request: recorded in the thread that asks for it, and nowhere else."""

import threading

import pytest

from tfchain.core.stages import StageRecord, find_record, stage


def test_stages_are_recorded_in_their_order_with_begin_and_end() -> None:
    with StageRecord() as record:
        with stage("tokenize"):
            pass
        with stage("encode"):
            pass
    assert [found.name for found in record.stages] == ["tokenize", "encode"]
    first, second = record.stages
    assert first.begin <= first.end <= second.begin <= second.end


def test_nothing_is_recorded_without_a_record_or_after_it() -> None:
    assert find_record() is None
    with stage("encode"):
        assert find_record() is None
    with StageRecord() as record:
        assert find_record() is record
    with stage("search"):
        pass
    assert record.stages == []
    assert find_record() is None


def test_a_stage_within_a_stage_is_a_part_of_it() -> None:
    with StageRecord() as record:
        with stage("search"), stage("run"):
            pass
        with stage("run"):
            pass
    assert [found.name for found in record.stages] == ["search", "run"]


def test_a_stage_that_fails_has_an_end_too() -> None:
    with StageRecord() as record:
        with pytest.raises(ValueError, match="no"), stage("encode"):
            raise ValueError("no")
        with stage("run"):
            pass
    assert [found.name for found in record.stages] == ["encode", "run"]


def test_other_threads_do_not_see_a_record() -> None:
    seen: list[StageRecord | None] = []
    with StageRecord():
        thread = threading.Thread(target=lambda: seen.append(find_record()))
        thread.start()
        thread.join()
    assert seen == [None]
