"""Scripts from Unicode names, beside those of the package `regex`, which has Unicode's table."""

import unicodedata

import pytest
import regex

from tfchain.models.tokenizers.scripts import SCRIPTS, find_script, find_scripts


@pytest.mark.parametrize("script", ["Latin", "Cyrillic", "Greek", "Arabic", "Han", "Hiragana", "Katakana", "Hangul"])
def test_letters_have_the_script_that_unicode_gives_them(script: str) -> None:
    pattern = regex.compile(rf"\p{{Script={script}}}")
    letters = [chr(code) for code in range(0x3400) if unicodedata.category(chr(code)) in ("Lu", "Ll", "Lo")]
    letters += ["中", "가", "ﾊ", "Ａ", "你"]
    ours = {letter for letter in letters if find_script(letter) == script}
    theirs = {letter for letter in letters if pattern.match(letter)}
    assert len(theirs - ours) <= 0.01 * len(theirs)  # such as the Angstrom sign, whose name does not say it
    assert all(regex.match(r"\p{Script=Common}|\p{Script=Inherited}", letter) for letter in ours - theirs)


def test_a_text_has_the_scripts_of_its_letters() -> None:
    assert find_scripts("Ünïcode 123, привет!") == {"Latin", "Cyrillic"}
    assert find_scripts("東京タワー") == {"Han", "Katakana"}
    assert find_scripts("3.14 €") == frozenset()
    assert set(map(find_script, "ΩЖक가")) == {"Greek", "Cyrillic", "Devanagari", "Hangul"} <= set(SCRIPTS.values())
