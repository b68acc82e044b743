"""The example of a pipeline runs, and prints what it promises."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.beam

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_notes_become_a_chain(capfd: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "beam_index.py"))["main"]([])

    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "5 records read, 3 written"
    assert lines[2:4] == [
        "  remove_exact_duplicates: 5 → 4 (dropped, exact duplicate: 1)",
        "  remove_near_duplicates: 4 → 3 (dropped, near-duplicate: 1)",
    ]
    assert lines[-1] == "Cats are welcome. Dogs need the landlord's word."
