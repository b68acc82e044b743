"""The normalizers that work on characters, as tables: what each changes, and its graph."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfchain.models.tokenizers.character_probe import probe_all
from tfchain.models.tokenizers.charsmap import read_charsmap
from tfchain.models.tokenizers.code_points import CharacterMap, CodePoints
from tfchain.models.tokenizers.graph_precompiled import GraphPrecompiled
from tfchain.models.tokenizers.graph_unicode_form import GraphUnicodeForm
from tfchain.models.tokenizers.grapheme_classes import probe_graphemes
from tfchain.models.tokenizers.unicode_forms import FORMS, probe_form

Graph = Callable[[CodePoints], CodePoints]


@dataclass(frozen=True)
class CharacterStep:
    """A normalizer of characters.

    Args:
        affected: The code points without which a text stays as it is.
        make: Makes its graph.
        replacements: What single characters become, if it does nothing else. Default: None, it does.
    """

    affected: frozenset[int]
    make: Callable[[], Graph]
    replacements: Mapping[int, str] | None = None

    @classmethod
    def of_map(cls, replacements: Mapping[int, str]) -> "CharacterStep":
        """Makes the step that replaces single characters."""
        return cls(frozenset(replacements), lambda: CharacterMap(replacements), replacements)


def make_character_steps(spec: Mapping[str, Any]) -> list[CharacterStep]:
    """Makes the steps of a normalizer.

    Args:
        spec: A part of `normalizer` of tokenizer.json whose type is in `CHARACTER_STEPS`.
    """
    return CHARACTER_STEPS[spec["type"]](spec)


def fuse(steps: list[CharacterStep]) -> list[CharacterStep]:
    """Makes one step of neighbours that replace single characters."""
    fused: list[CharacterStep] = []
    for step in steps:
        last = fused[-1].replacements if fused else None
        if last is None or step.replacements is None:
            fused.append(step)
            continue
        table = str.maketrans(dict(step.replacements))
        both = {**step.replacements, **{code: text.translate(table) for code, text in last.items()}}
        fused[-1] = CharacterStep.of_map({code: text for code, text in both.items() if text != chr(code)})
    return fused


def _make_form(name: str) -> CharacterStep:
    form = probe_form(name)
    return CharacterStep(form.affected, lambda: GraphUnicodeForm(form))


def _make_precompiled(spec: Mapping[str, Any]) -> list[CharacterStep]:
    replacements = read_charsmap(spec["precompiled_charsmap"])
    graph = GraphPrecompiled(replacements, probe_graphemes())
    return [CharacterStep(graph.affected, lambda: graph)]


def _make_bert(spec: Mapping[str, Any]) -> list[CharacterStep]:
    strips = spec["lowercase"] if spec["strip_accents"] is None else spec["strip_accents"]
    steps = [_probe_bert(flag) for flag in ("clean_text", "handle_chinese_chars") if spec[flag]]
    if strips:
        form = probe_form("NFD")
        stripped = _probe_bert("strip_accents").replacements or {}
        accents = {code: text for code, text in stripped.items() if code not in form.decompositions}
        steps += [_make_form("NFD"), CharacterStep.of_map(accents)]
    return [*steps, *([_probe_bert("lowercase")] if spec["lowercase"] else [])]


@functools.cache
def _probe_bert(flag: str) -> CharacterStep:
    """Reads off what one of BertNormalizer's flags does; takes about 0.1 s, so the result is cached."""
    from tokenizers import normalizers

    flags = dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False)
    return CharacterStep.of_map(probe_all(normalizers.BertNormalizer(**{**flags, flag: True}).normalize_str))


@functools.cache
def _probe_kind(name: str) -> CharacterStep:
    """Reads off what a normalizer without settings does; takes about 0.1 s, so the result is cached."""
    from tokenizers import normalizers

    return CharacterStep.of_map(probe_all(getattr(normalizers, name)().normalize_str))


CHARACTER_STEPS: dict[str, Callable[[Mapping[str, Any]], list[CharacterStep]]] = {
    **{name: lambda spec: [_make_form(spec["type"])] for name in FORMS},
    **dict.fromkeys(("Lowercase", "StripAccents", "Nmt"), lambda spec: [_probe_kind(spec["type"])]),
    "BertNormalizer": _make_bert,
    "Precompiled": _make_precompiled,
}
