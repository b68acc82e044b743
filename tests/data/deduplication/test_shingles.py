"""Tests of cutting texts into shingles."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.deduplication.shingles import check_shingle_size, jaccard, make_shingles


def test_shingles_are_runs_of_words():
    assert make_shingles("a b c d", 3) == ["a b c", "b c d"]
    assert make_shingles("中国人", 2) == ["中 国", "国 人"]
    assert make_shingles("a b", 1) == ["a", "b"]


def test_a_short_text_is_one_shingle():
    assert make_shingles("Hello!", 2) == ["hello"]
    assert make_shingles(" ?! ", 2) == ["?!"]
    assert make_shingles("", 2) == [""]


def test_jaccard_by_hand():
    assert jaccard({"a", "b", "c"}, {"b", "c", "d"}) == 0.5
    assert jaccard({"a"}, {"b"}) == 0.0
    assert jaccard({"a"}, {"a"}) == 1.0


def test_a_wrong_size_is_refused():
    with pytest.raises(InputError, match="`shingle_size` must be a whole number of at least 1"):
        check_shingle_size(0)
