"""The recipe that leaves out the tokens that a corpus or a set of languages does not use."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tfchain.core.errors import InputError
from tfchain.optimization.recipes.base import Materials, Recipe

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder


@dataclass(frozen=True)
class TrimVocabulary(Recipe):
    """Leaves tokens out of the tokenizer and the token embedding: a smaller file and less memory, at the same speed.

    Half of all-MiniLM-L6-v2 is its token embedding, and four fifths of a multilingual model of its width. Without
    `scripts`, the tokens that the texts need are kept; with them, all tokens whose letters are of these scripts, and
    those that the texts need, if there are any. Special tokens stay, and so do single characters of the texts' scripts,
    so that other words come out in smaller pieces instead of unknown; letters of other scripts become unknown. Ids keep
    their order. The texts, alone and after the prompts for queries and documents, keep their tokens, and so their
    vectors (an engine that compiles the smaller model anew may round them differently); other texts where they use no
    token that is gone, and with scripts, those that are written in them.

    For WordPiece, Unigram, and BPE, whose merges stay closed: the pieces that a token is made of are kept.

    Args:
        scripts: Unicode's names of the scripts to keep: `("Latin", "Cyrillic")`; `Han`, `Hiragana` and `Katakana` for
            Japanese, `Hangul` for Korean. Digits, punctuation and symbols are of every script. Default: none; the
            tokens of the texts.

    Raises:
        InputError: if `scripts` is not a list of names.
    """

    place: ClassVar[int] = 0

    scripts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.scripts, list | tuple) or not all(isinstance(name, str) for name in self.scripts):
            raise InputError(
                "`scripts` of TrimVocabulary must be a list of names of Unicode's scripts, such as ('Latin', 'Han'). "
                f"Received: scripts={self.scripts!r:.100}."
            )
        object.__setattr__(self, "scripts", tuple(self.scripts))

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        return f"trim({', '.join(self.scripts)})" if self.scripts else "trim"

    def apply(self, text_encoder: "TextEncoder", materials: Materials) -> "TextEncoder":
        from tfchain.optimization.trim_vocabulary import trim_vocabulary

        return trim_vocabulary(text_encoder, self, materials.texts)
