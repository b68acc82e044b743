"""Hugging Face's normalizers inside a TensorFlow graph: the same texts as `normalize_str`, by stock ops.

Normalizers that work on characters (normal forms, lower case, accents, charsmaps) share one decoding, and texts without
any character that they change are left out of it. What characters become is read off the installed `tokenizers`, and
does not depend on a server's Unicode tables.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.added_tokens import WHITE_SPACE
from tfchain.models.tokenizers.character_steps import CHARACTER_STEPS, CharacterStep, fuse, make_character_steps
from tfchain.models.tokenizers.code_points import CodePoints
from tfchain.models.tokenizers.graph_regex import escape, to_class
from tfchain.models.tokenizers.hugging_face_parts import make_part_error
from tfchain.models.tokenizers.split_pattern import translate

Normalize = Callable[[tf.Tensor], tf.Tensor]


def make_graph_normalizer(spec: Mapping[str, Any] | None) -> Normalize:
    """Makes the graph of a normalizer.

    Args:
        spec: `normalizer` of tokenizer.json.

    Returns:
        A function from texts to normalised texts, string `(batch,)`, UTF-8. It holds only constants.

    Raises:
        InputError: if the normalizer has a part that the graph cannot express, or the installed `tokenizers` does
            something else with a few difficult texts.
    """
    stages: list[Normalize] = []
    pending: list[CharacterStep] = []
    for step in _flatten(spec):
        if step["type"] in CHARACTER_STEPS:
            pending += make_character_steps(step)
            continue
        stages += _finish(pending)
        pending = []
        stages.append(_make_text_stage(step))
    stages += _finish(pending)
    normalize = functools.partial(_run, stages)
    _check(normalize, spec)
    return normalize


def _run(stages: list[Normalize], texts: tf.Tensor) -> tf.Tensor:
    with tf.device("/CPU:0"), tf.name_scope("normalize"):
        for stage in stages:
            texts = stage(texts)
    return texts


def _flatten(spec: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """Yields the normalizers of nested sequences in their order."""
    if spec is None:
        return
    if spec["type"] != "Sequence":
        yield spec
        return
    for step in spec["normalizers"]:
        yield from _flatten(step)


def _finish(steps: list[CharacterStep]) -> list[Normalize]:
    """Makes one stage of neighbouring steps on characters."""
    steps = fuse(steps)
    affected = frozenset().union(*(step.affected for step in steps))
    if not affected:
        return []
    plain = f"[^{to_class(affected)[1:-1]}]*"
    graphs = [step.make() for step in steps]

    def normalize(texts: tf.Tensor) -> tf.Tensor:
        points = CodePoints.decode(texts)
        for graph in graphs:
            points = graph(points)
        return points.encode()

    def stage(texts: tf.Tensor) -> tf.Tensor:
        rows = tf.where(~tf.strings.regex_full_match(texts, plain))
        return tf.cond(
            tf.size(rows) > 0,
            lambda: tf.tensor_scatter_nd_update(texts, rows, normalize(tf.gather_nd(texts, rows))),
            lambda: texts,
        )

    return [stage]


def _make_text_stage(spec: Mapping[str, Any]) -> Normalize:
    """Makes the stage of a normalizer that works on whole texts."""
    if spec["type"] not in _TEXT_STAGES:
        raise make_part_error("normalizer", ", ".join(sorted([*CHARACTER_STEPS, *_TEXT_STAGES])), spec["type"])
    return _TEXT_STAGES[spec["type"]](spec)


def _make_replace(spec: Mapping[str, Any]) -> Normalize:
    ((kind, written),) = spec["pattern"].items()
    pattern = escape(written)
    if kind == "Regex":
        anchor = r"\A" if written.startswith(r"\A") else ""
        translated = translate(written.removeprefix(anchor))
        if translated.mark is not None:
            raise make_part_error("normalizer", "a Replace without lookahead", repr(written))
        pattern = f"{anchor}(?:{translated.pattern})" if anchor else translated.pattern
    if not written:
        raise make_part_error("normalizer", "a Replace of a text that is not empty", json.dumps(spec))
    return functools.partial(
        tf.strings.regex_replace, pattern=pattern, rewrite=spec["content"].replace("\\", "\\\\").encode()
    )


def _make_prepend(spec: Mapping[str, Any]) -> Normalize:
    prepended = tf.compat.as_bytes(spec["prepend"])
    return lambda texts: tf.where(texts == "", texts, tf.strings.join([prepended, texts]))


def _make_strip(spec: Mapping[str, Any]) -> Normalize:
    space = to_class(WHITE_SPACE)
    sides = [f"^{space}+"] * spec["strip_left"] + [f"{space}+$"] * spec["strip_right"]
    if not sides:
        return lambda texts: texts
    return functools.partial(tf.strings.regex_replace, pattern="|".join(sides), rewrite="")


_TEXT_STAGES: dict[str, Callable[[Mapping[str, Any]], Normalize]] = {
    "Replace": _make_replace,
    "Prepend": _make_prepend,
    "Strip": _make_strip,
}


# Texts that normalizers treat differently: marks in several orders, Hangul in parts, ligatures, white space, graphemes.
_PROBE = (
    "",
    " ",
    "  Hello,\u3000  World! \u00a0",
    "\x00a\x01\r\n\t\x85b\u200b\ufeff\ufffd",
    "ÀÉîõü Straße İstanbul ΑΣ ǆ ﬁ ① ½ ＡＢＣ ㌔ ﷺ",
    "e\u0301 e\u0302\u0301 e\u0301\u0302 a\u0323\u0307 a\u0307\u0323 q\u0307\u0323\u0301 \u0301e",
    "①\u0301 ①\u0301\u0302 ㌔\u0301 ﬁ\u0308 A\u030a\u0327 \u00a9\u200d\u00a9\u0301 \u0600①",
    "\u1112\u1161\u11ab \u1100\u1161 가\u11a8 각\u11a8 \u1100\u1100\u1161 ㄱㅏ ﾡￂ",
    "か\u3099 ｶﾞ は\u309a が \u0915\u094d\u0915\u0301 \u0958\u094d\u0958\u0301 क़ \u09c7\u09be",
    "\u0344 \u0340\u0341 \u0f73\u0f75 \u1e9b\u0323 \u212b \u2126 豈 \U0002f800 𝔸 👩‍👩‍👧 🇨🇳",
    "``quoted'' \u0e33 \u0eb3 \u0d4d\u200d ☕\ufe0f \u0b47\u0b3e\u0b56 \u0dd9\u0dcf\u0dca",
)


def _check(normalize: Normalize, spec: Mapping[str, Any] | None) -> None:
    """Raises an `InputError` if the installed `tokenizers` normalises the probe texts in another way."""
    expected = list(map(_make_reference(spec), _PROBE))
    with tf.init_scope():
        received = [text.decode() for text in normalize(tf.constant(_PROBE)).numpy()]
    for text, one, other in zip(_PROBE, expected, received, strict=True):
        if one != other:
            raise InputError(
                "The installed `tokenizers` must normalise texts as the graph does. "
                f"Received: {one!a} of {text!a}, where the graph has {other!a}. Tokenize with the "
                "Hugging Face tokenizer on the host, and serve token ids."
            )


def _make_reference(spec: Mapping[str, Any] | None) -> Callable[[str], str]:
    """Returns the function with which `tokenizers` normalises a text."""
    from tokenizers import Tokenizer, models

    if spec is None:
        return str
    parts = json.loads(Tokenizer(models.BPE()).to_str())
    normalizer = Tokenizer.from_str(json.dumps({**parts, "normalizer": spec})).normalizer
    normalize: Callable[[str], str] = normalizer.normalize_str
    return normalize
