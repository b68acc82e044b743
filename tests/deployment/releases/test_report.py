import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.deployment.releases.versions import make_report, make_version
from tfchain.core.errors import InputError
from tfchain.deployment.releases.comparison import compare_values
from tfchain.deployment.releases.contents import hash_version
from tfchain.deployment.releases.report import BLESSING, BLESSING_PAGE, read_report, write_report


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = make_version(tmp_path / "docs", 3, outcome=None)
    assert read_report(path) is None
    comparison = compare_values(np.linspace(0, 1, 40), np.linspace(0, 1, 40), metric="ndcg@10")
    report = dataclasses.replace(make_report(path, outcome="failed"), comparison=comparison)
    assert write_report(path, report) == path / BLESSING
    assert read_report(path) == report
    assert report.refusals == ("ndcg@10 fell <a lot>.",)


def test_the_page_shows_the_verdict_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    path = make_version(tmp_path / "docs", 3, outcome="failed")
    page = (path / BLESSING_PAGE).read_text()
    assert "docs version 3: refused" in page
    assert "ndcg@10 fell &lt;a lot&gt;." in page
    assert "<script" not in page


def test_a_report_does_not_change_the_contents_it_is_about(tmp_path: Path) -> None:
    path = make_version(tmp_path / "docs", 3, outcome=None)
    before = hash_version(path)
    write_report(path, make_report(path))
    assert hash_version(path) == before
    (path / "saved_model.pb").write_bytes(b"other")
    assert hash_version(path) != before


def test_a_damaged_report_is_a_clear_error(tmp_path: Path) -> None:
    path = make_version(tmp_path / "docs", 3)
    (path / BLESSING).write_text('{"passed": true}')
    with pytest.raises(InputError, match=r"blessing.json must be what `tfchain release` wrote. Received: a file that"):
        read_report(path)
