"""Normalizers of characters as tables, by hand."""

import pytest

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.character_probe import probe_all, probe_normalizer
from tfchain.models.tokenizers.character_steps import CharacterStep, fuse, make_character_steps


def test_neighbours_that_replace_characters_become_one() -> None:
    first = CharacterStep.of_map({ord("a"): "bc", ord("d"): ""})
    second = CharacterStep.of_map({ord("b"): "x", ord("c"): "", ord("e"): "a"})
    (both,) = fuse([first, second])
    assert both.replacements == {ord("a"): "x", ord("b"): "x", ord("c"): "", ord("d"): "", ord("e"): "a"}
    (back,) = fuse([CharacterStep.of_map({ord("a"): "b"}), CharacterStep.of_map({ord("b"): "a"})])
    assert back.replacements == {ord("b"): "a"}
    form = make_character_steps({"type": "NFC"})[0]
    assert fuse([first, form, second]) == [first, form, second]


def test_steps_are_read_off_tokenizers() -> None:
    (lower,) = make_character_steps({"type": "Lowercase"})
    assert lower.replacements is not None
    assert (lower.replacements[ord("A")], lower.replacements[ord("İ")]) == ("a", "i\u0307")
    assert ord("a") not in lower.affected
    (nmt,) = make_character_steps({"type": "Nmt"})
    assert nmt.replacements is not None
    assert (nmt.replacements[0x01], nmt.replacements[0x0A]) == ("", " ")


def test_a_normalizer_that_looks_at_neighbours_is_refused() -> None:
    with pytest.raises(InputError, match="changes a character depending on others"):
        probe_normalizer(lambda text: text.replace("1b1", "1"), [ord("a"), ord("b")])


def test_an_area_that_is_dropped_is_found_without_trying_each_character() -> None:
    changed = probe_all(lambda text: "".join(c for c in text if not 0xF0000 <= ord(c) < 0xFFFFE))
    assert changed == dict.fromkeys(range(0xF0000, 0xFFFFE), "")
