"""Texts on the wire."""

import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.text_graph import check_signatures, to_array, to_bytes


def test_texts_are_sent_as_utf_8_and_half_a_surrogate_pair_as_a_question_mark() -> None:
    assert to_bytes("caf\u00e9") == b"caf\xc3\xa9"
    assert to_bytes("a\ud800b") == b"a?b"
    array = to_array(["a", "longer", ""])
    assert (array.dtype, array.tolist()) == (object, [b"a", b"longer", b""])


def test_signatures_are_of_text_or_of_ids() -> None:
    check_signatures("text")
    check_signatures("ids")
    with pytest.raises(InputError, match="`signatures` must be 'text' or 'ids'. Received: signatures='both'"):
        check_signatures("both")
