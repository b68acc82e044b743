"""Tests of removing lines that many documents repeat."""

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.cleaning.remove_repeated_lines import LineCounts, RemoveRepeatedLines
from tfchain.data.steps.run import StepsRun

BANNER = "We use cookies. Accept all"


def pages(count: int, site: str = "a") -> list[Document]:
    return [
        Document(
            f"{site}{number}",
            f"# Contents\n{BANNER}\n\nStory {number} of its own.\n| a | b |\n---\n```\nreturn x\n```\n"
            "we use  COOKIES. accept all",
            "",
            {"site": site},
        )
        for number in range(count)
    ]


def test_a_line_goes_after_the_first_documents_and_structure_stays():
    texts = [document.text for document in RemoveRepeatedLines(after=2)(pages(4))]
    assert texts[:2] == [document.text for document in pages(2)]
    assert texts[2:] == [
        f"# Contents\n\nStory {number} of its own.\n| a | b |\n---\n```\nreturn x\n```" for number in (2, 3)
    ]


def test_sources_are_counted_apart():
    documents = [*pages(2), *pages(2, "b")]
    assert list(RemoveRepeatedLines(after=2, source="site")(documents)) == documents
    assert list(RemoveRepeatedLines(after=2)(documents))[2:] != documents[2:]


@pytest.mark.parametrize("size", [1, 3])
def test_blocks_and_a_saved_state_change_nothing(size, tmp_path):
    expected = list(RemoveRepeatedLines(after=2)(pages(7)))
    run, passed = StepsRun([RemoveRepeatedLines(after=2)]), []
    for start in range(0, 7, size):
        passed += run.process(pages(7)[start : start + size])
        folder = tmp_path / str(start)
        folder.mkdir()
        run.save_states(folder)
        run.load_states(folder)
    assert passed == expected
    assert run.logs[0].changed == {"repeated lines": 5}


def test_a_document_of_repeated_lines_alone_is_dropped_and_pages_stay_right():
    documents = [Document(str(number), BANNER) for number in range(3)]
    paged = Document("p", f"{BANNER}\nOne\n{BANNER}\nTwo", "", {"page_starts": [0, 31]})
    passed = list(RemoveRepeatedLines(after=2)([*documents, paged, {"text": BANNER}]))
    assert passed[:2] == documents[:2]
    assert passed[2] == Document("p", "One\nTwo", "", {"page_starts": [0, 4]})
    assert passed[3:] == [{"text": BANNER}]


def test_lines_are_counted_to_a_limit():
    counts = LineCounts()
    digest = bytes(range(8))
    assert [counts.add(digest) for _ in range(300)] == [*range(255), *[255] * 45]
    assert counts.add(bytes(8)) == 0


def test_a_wrong_setting_is_refused():
    with pytest.raises(InputError, match="`after` must be from 1 to 254. Received: after=300"):
        RemoveRepeatedLines(after=300)
