"""Tests of removing near-duplicates."""

import json
import random

import pytest

from tfchain.core.errors import InputError
from tfchain.data.deduplication.remove_near_duplicates import RemoveNearDuplicates
from tfchain.data.steps.run import StepsRun


def planted(number_of_texts: int = 150) -> list[dict]:
    """Texts of 40 words; each third is an edited copy of an earlier one: one to eight of its words are replaced."""
    generator = random.Random(5)
    records: list[dict] = []
    for number in range(number_of_texts):
        if number % 3 == 2:
            source = generator.choice([record for record in records if "-" not in record["id"]])
            words = source["text"].split()
            for place in generator.sample(range(40), 1 + number % 8):
                words[place] = f"n{number}"
            records.append({"id": f"{source['id']}-{number}", "text": " ".join(words)})
        else:
            records.append({"id": str(number), "text": " ".join(f"w{generator.randrange(900)}" for _ in range(40))})
    return records


def run_in_blocks(records, size, tmp_path=None, step=None):
    entries: list[dict] = []
    run, kept = StepsRun([step or RemoveNearDuplicates()], write=entries.append), []
    for start in range(0, len(records), size):
        kept += run.process(records[start : start + size])
        if tmp_path is not None:
            folder = tmp_path / str(start)
            folder.mkdir()
            run.save_states(folder)
            run.load_states(folder)
    return [record["id"] for record in kept], entries


def test_edited_copies_go_and_the_log_names_what_they_repeat():
    records = planted()
    kept, entries = run_in_blocks(records, 1000)
    assert kept == [record["id"] for record in records if "-" not in record["id"]]
    assert len(entries) == 50
    for entry in entries:
        assert entry["reason"] == "near-duplicate"
        assert entry["detail"].startswith(f"repeats {entry['id'].partition('-')[0]} (similarity 0.")


@pytest.mark.parametrize("size", [1, 7, 140])
def test_blocks_and_a_saved_state_change_nothing(size, tmp_path):
    records = planted()
    expected = run_in_blocks(records, 1000)
    assert run_in_blocks(records, size) == expected
    if size == 7:
        assert run_in_blocks(records, size, tmp_path) == expected


def test_short_texts_must_have_equal_words():
    questions = [
        {"id": "1", "text": "How do I top up my card?"},
        {"id": "2", "text": "How do I block my card?"},
        {"id": "3", "text": "how do I top up my CARD"},
    ]
    assert [row["id"] for row in RemoveNearDuplicates()(questions)] == ["1", "2"]
    # 6 and 5 pairs of words, of which "how do", "do i" and "my card" are shared: 3 of 8
    assert [row["id"] for row in RemoveNearDuplicates(threshold=0.3, min_words=0)(questions)] == ["1"]


def test_chinese_is_compared_by_its_characters():
    text = "范廷颂枢机，圣名保禄·若瑟，是越南罗马天主教枢机。1963年被任为主教；1990年被擢升为天主教河内总教区宗座署理。"
    edited = text.replace("罗马", "").replace("擢升", "任命").replace("圣名", "名")
    other = "北京是中华人民共和国的首都，是全国的政治中心、文化中心，是世界著名古都和现代化国际城市。"
    rows = [{"id": str(number), "text": one} for number, one in enumerate([text, other, edited])]
    assert [row["id"] for row in RemoveNearDuplicates()(rows)] == ["0", "1"]


def test_a_record_without_texts_stays():
    rows = [{"url": "x"}, {"url": "x"}, {"text": " "}, {"text": ""}]
    assert list(RemoveNearDuplicates()(rows)) == rows


def test_only_the_columns_asked_for_are_compared():
    text = " ".join(f"w{number}" for number in range(30))
    rows = [{"query": "a b c", "positive": text}, {"query": "quite another question", "positive": text + " end"}]
    assert len(list(RemoveNearDuplicates(threshold=0.9)(rows))) == 2  # 3 + 3 of 38 pairs differ
    assert len(list(RemoveNearDuplicates(threshold=0.9, columns=("positive",))(rows))) == 1


def test_a_state_of_other_signatures_is_refused(tmp_path):
    step = RemoveNearDuplicates()
    step.save_state(step.new_state(), tmp_path)
    (tmp_path / "state.json").write_text(json.dumps({"sketch_version": 1}))
    with pytest.raises(InputError, match="was written with signatures of version 1, and the installed rensa makes"):
        step.load_state(tmp_path)


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match=r"`threshold` must be in \(0, 1\]. Received: threshold=0"):
        RemoveNearDuplicates(threshold=0)
    with pytest.raises(InputError, match="`min_words` must be a whole number of at least 0. Received: min_words=-1"):
        RemoveNearDuplicates(min_words=-1)
