"""Words left out, and neighbouring words swapped."""

import re
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from tfchain.data.augmentation.noise_step import NoiseStep
from tfchain.data.documents.words import UNSPACED

# A word is what stands between white space; in scripts without spaces, a character.
WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


@dataclass(frozen=True)
class DeleteWords(NoiseStep):
    """Leaves out words, as people do who type key words (word deletion of EDA, Wei and Zou 2019, arXiv 1901.11196).

    Each word is left out with the probability `rate`, with the white space before it; if none would be left, one word
    stays. In Chinese, Japanese and Thai a character counts as a word. `augmentation.graph.delete_words` does the same
    in `tf.data`. The other arguments are those of `NoiseStep`.
    """

    name: ClassVar[str] = "delete_words"

    def disturb(self, text: str, random: Random) -> str:
        words = list(WORD.finditer(text))
        kept = [word for word in words if random.random() >= self.rate] or [random.choice(words)]
        if len(kept) == len(words):
            return text
        starts = {word.start(): previous for word, previous in zip(words[1:], words, strict=False)}
        parts = [kept[0].group()]
        for word in kept[1:]:
            parts.append(text[starts[word.start()].end() : word.end()])
        return "".join(parts)


@dataclass(frozen=True)
class SwapWords(NoiseStep):
    """Swaps neighbouring words (random swap of EDA, between neighbours).

    From left to right, each word is swapped with the one after it with the probability `rate`; a word takes part in one
    swap at most, and the white space stays. In Chinese, Japanese and Thai a character counts as a word.
    `augmentation.graph.swap_words` does the same in `tf.data`. The other arguments are those of `NoiseStep`.
    """

    name: ClassVar[str] = "swap_words"

    def disturb(self, text: str, random: Random) -> str:
        words = list(WORD.finditer(text))
        order = list(range(len(words)))
        place = 0
        while place + 1 < len(words):
            if random.random() < self.rate:
                order[place], order[place + 1] = order[place + 1], order[place]
                place += 1
            place += 1
        parts, end = [], 0
        for word, number in zip(words, order, strict=True):
            parts += [text[end : word.start()], words[number].group()]
            end = word.end()
        return "".join(parts) + text[end:]
