"""The checks find what is known to be wrong with real data."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED_DATA
from tfchain.data.checks.data_report import data_report
from tfchain.data.checks.duplicates import find_empty, find_repeated
from tfchain.data.checks.finding import Finding, Findings
from tfchain.data.checks.judgments import find_answer_faults
from tfchain.data.checks.leaks import find_leaks
from tfchain.data.checks.material import Material
from tfchain.data.checks.near_texts import NearTexts
from tfchain.data.checks.reading import MaterialReader

CMRC = SHARED_DATA / "cmrc2018"
BANKING = SHARED_DATA / "banking77"
SCIFACT = SHARED_DATA / "scifact"
SQUAD = SHARED_DATA / "squad_dev"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.is_dir(), reason=f"{path.name} is not here")


def run_check(check: Callable[..., Iterator[Finding]], *options: Any, **sets: Any) -> dict[tuple[str, str], Finding]:
    """The findings of one check, by kind and what is counted; a whole report takes seconds more."""
    material = Material()
    reader = MaterialReader(material)
    for name, source in sets.items():
        reader.read_set(name, source, split="train" if name == "train" else "test")
    found = {(finding.kind, finding.what): finding for finding in check(material, *options, Findings(5))}
    assert found
    return found


@needs(CMRC)
@pytest.mark.parametrize(("name", "count"), [("train", 21), ("dev", 200)])
def test_cmrc_has_misaligned_answers(name: str, count: int) -> None:
    found = run_check(find_answer_faults, train=CMRC / f"{name}.json.gz")

    assert found["misaligned_answer", "answers"].count == count


@needs(CMRC)
def test_cmrc_asks_twenty_questions_more_than_once() -> None:
    files = [CMRC / f"{name}.json.gz" for name in ("train", "dev", "trial")]

    assert run_check(find_repeated, train=files)["repeated_question", "queries"].count == 20
    assert run_check(find_empty, train=files)["empty_text", "queries"].count == 2  # and so one of the twenty


@needs(BANKING)
def test_banking77_has_repeated_questions_and_test_questions_in_training() -> None:
    report = data_report(train=BANKING / "train.csv", evaluation=BANKING / "test.csv")

    assert report.find("repeated_text", "train").count == 4
    assert report.find("leaked_text").count == 6
    assert report.find("contradicting_label").count == 0


@needs(SCIFACT)
def test_scifact_has_claims_and_documents_in_both_splits() -> None:
    found = run_check(find_leaks, NearTexts([], 0.7), train=SCIFACT, evaluation=SCIFACT)

    assert found["leaked_text", "queries"].count == 2
    assert found["shared_document", "documents"].count == 181


@needs(SQUAD)
def test_squad_asks_forty_questions_twice() -> None:
    repeated = run_check(find_repeated, evaluation=SQUAD / "dev-v1.1.json.gz")["repeated_question", "queries"]

    assert (repeated.count, repeated.note) == (40, "38 of one document, 2 of several documents.")
