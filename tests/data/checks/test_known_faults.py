"""The checks find what is known to be wrong with real data."""

import pytest

from tests.conftest import SHARED_DATA
from tfchain.data.checks.data_report import data_report
from tfchain.data.checks.options import ReportOptions
from tfchain.data.checks.report import DataReport

FEW = ReportOptions(ranked_pairs=1)

CMRC = SHARED_DATA / "cmrc2018"
BANKING = SHARED_DATA / "banking77"
SCIFACT = SHARED_DATA / "scifact"
SQUAD = SHARED_DATA / "squad_dev"


def needs(path):
    return pytest.mark.skipif(not path.is_dir(), reason=f"{path.name} is not here")


@needs(CMRC)
def test_cmrc_has_misaligned_answers_and_questions_that_are_asked_twice() -> None:
    report = data_report(train=[CMRC / f"{name}.json.gz" for name in ("train", "dev", "trial")], options=FEW)
    files = data_report(train=CMRC / "train.json.gz", evaluation=CMRC / "dev.json.gz", options=FEW)

    assert files.find("misaligned_answer", "train").count == 21
    assert files.find("misaligned_answer", "evaluation").count == 200
    assert files.find("misaligned_answer", "evaluation").note == "193 of them stand nowhere in their passage."
    assert report.find("repeated_question").count == 20  # one of them the empty question
    assert report.find("empty_text", what="queries").count == 2


@needs(BANKING)
def test_banking77_has_repeated_questions_and_test_questions_in_training() -> None:
    report = data_report(train=BANKING / "train.csv", evaluation=BANKING / "test.csv")

    assert report.find("repeated_text", "train").count == 4
    assert report.find("leaked_text").count == 6
    assert report.find("contradicting_label").count == 0


@pytest.fixture(scope="module")
def scifact() -> DataReport:
    return data_report(train=SCIFACT, evaluation=SCIFACT, options=FEW)


@needs(SCIFACT)
def test_scifact_has_claims_and_documents_in_both_splits(scifact: DataReport) -> None:
    assert scifact.find("leaked_text").count == 2
    assert scifact.find("shared_document").count == 181
    assert scifact.find("missing_document", "train", "corpus").count == 0


@needs(SQUAD)
def test_squad_asks_forty_questions_twice() -> None:
    report = data_report(evaluation=SQUAD / "dev-v1.1.json.gz", options=FEW)

    repeated = report.find("repeated_question")
    assert (repeated.count, repeated.note) == (40, "38 of one document, 2 of several documents.")
    assert report.find("misaligned_answer").count == 0
