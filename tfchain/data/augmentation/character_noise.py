"""Typing errors: characters left out, doubled, swapped or replaced."""

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Literal, cast, get_args

from tfchain.core.errors import InputError
from tfchain.data.augmentation.noise_step import NoiseStep

CharacterError = Literal["delete", "double", "swap", "replace"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"

# The neighbours of each key on a QWERTY keyboard, from its rows, shifted by half a key as keyboards are.
QWERTY_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")


def find_neighbours() -> dict[str, str]:
    """Returns key → the keys that touch it: left and right, two above and two below."""
    found: dict[str, str] = {}
    for number, row in enumerate(QWERTY_ROWS):
        for place, key in enumerate(row):
            beside = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
            above = QWERTY_ROWS[number - 1][place : place + 2] if number else ""
            below = QWERTY_ROWS[number + 1] if number + 1 < len(QWERTY_ROWS) else ""
            found[key] = beside + above + below[max(0, place - 1) : place + 1]
    return found


NEIGHBOURS = find_neighbours()


@dataclass(frozen=True)
class AddTypos(NoiseStep):
    """Makes typing errors in letters: left out, doubled, swapped with the next, or replaced by another letter.

    Each letter is disturbed with the probability `rate`, by one of the four errors. Digits, punctuation and white space
    stay. `augmentation.graph.add_typos` does the same in `tf.data`. The other arguments are those of `NoiseStep`.

    Args:
        rate: The share of letters. Default: 0.05.
        errors: Which errors to make, each as likely. Default: all four.
    """

    name: ClassVar[str] = "add_typos"

    rate: float = 0.05
    errors: tuple[CharacterError, ...] = get_args(CharacterError)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            not self.errors
            or isinstance(cast(Any, self.errors), str)
            or set(self.errors) - set(get_args(CharacterError))
        ):
            raise InputError(
                f"`errors` must be some of {', '.join(get_args(CharacterError))}. Received: errors={self.errors!r}."
            )

    def disturb(self, text: str, random: Random) -> str:
        made: list[str] = []
        place = 0
        while place < len(text):
            character = text[place]
            place += 1
            if not character.isalpha() or random.random() >= self.rate:
                made.append(character)
                continue
            error = random.choice(self.errors)
            if error == "double":
                made += [character, character]
            elif error == "swap" and place < len(text) and text[place].isalpha():
                made += [text[place], character]
                place += 1
            elif error == "replace":
                made.append(like(character, random.choice(LETTERS)))
            elif error == "swap":
                made.append(character)
        return "".join(made)


@dataclass(frozen=True)
class MistypeKeys(NoiseStep):
    """Replaces letters and digits by a neighbouring key of a QWERTY keyboard.

    Each is replaced with the probability `rate`. Other characters stay. The other arguments are those of `NoiseStep`.

    Args:
        rate: The share of letters and digits. Default: 0.05.
    """

    name: ClassVar[str] = "mistype_keys"

    rate: float = 0.05

    def disturb(self, text: str, random: Random) -> str:
        return "".join(
            like(character, random.choice(NEIGHBOURS[character.lower()]))
            if character.lower() in NEIGHBOURS and random.random() < self.rate
            else character
            for character in text
        )


def like(model: str, character: str) -> str:
    """Returns a character as a capital if the model is one."""
    return character.upper() if model.isupper() else character
