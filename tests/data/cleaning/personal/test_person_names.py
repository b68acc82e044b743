"""Tests of finding names by an analyzer with Presidio's interface."""

import re
import sys
from dataclasses import dataclass

import pytest

from tfchain.core.errors import MissingPackageError
from tfchain.data.cleaning.personal.found import Found
from tfchain.data.cleaning.personal.person_names import find_names, load_analyzer


@dataclass
class Result:
    start: int
    end: int
    score: float
    entity_type: str = "PERSON"


class Analyzer:
    """Takes two capitalized words for a name, surely; one for a doubtful one."""

    def __init__(self):
        self.asked = []

    def analyze(self, text, entities, language):
        self.asked.append((entities, language))
        names = re.finditer(r"[A-Z][a-z]+( [A-Z][a-z]+)?", text)
        return [Result(name.start(), name.end(), 0.85 if name[1] else 0.3) for name in names]


def test_names_are_what_the_analyzer_is_sure_of():
    analyzer = Analyzer()
    found = list(find_names("yesterday Ada Lovelace wrote to Bob", analyzer, "de"))
    assert found == [Found(10, 22, "name")]
    assert analyzer.asked == [(["PERSON"], "de")]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    load_analyzer.cache_clear()
    with pytest.raises(
        MissingPackageError, match=r"needs the package presidio-analyzer.*pip install 'tfchain\[names\]'"
    ):
        list(find_names("Ada Lovelace"))
