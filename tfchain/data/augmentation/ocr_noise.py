"""Errors of optical character recognition."""

import re
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from tfchain.data.augmentation.noise_step import NoiseStep

# What recognizers of printed Latin text take for what: shapes that differ by a stroke, and pairs of letters that touch
# (the segmentation errors of Nguyen et al. 2021, "Survey of Post-OCR Processing Approaches"); chosen for this file.
PAIRS = (
    *(("rn", "m"), ("ri", "n"), ("cl", "d"), ("vv", "w"), ("li", "h"), ("ii", "u"), ("tt", "ll"), ("in", "m")),
    *(("O", "0"), ("o", "0"), ("l", "1"), ("I", "l"), ("I", "1"), ("S", "5"), ("s", "5"), ("B", "8"), ("Z", "2")),
    *(("z", "2"), ("G", "6"), ("g", "9"), ("q", "9"), ("e", "c"), ("h", "b"), ("n", "u"), ("f", "t"), ("i", "j")),
    *(("a", "o"), ("D", "O"), ("Q", "O"), ("E", "F"), ("U", "V"), ("v", "y"), (",", "."), (":", ";")),
)


def find_confusions() -> dict[str, tuple[str, ...]]:
    """Returns each shape with the shapes that it is taken for, in both directions."""
    found: dict[str, list[str]] = {}
    for one, other in PAIRS:
        found.setdefault(one, []).append(other)
        found.setdefault(other, []).append(one)
    return {shape: tuple(dict.fromkeys(others)) for shape, others in found.items()}


CONFUSIONS = find_confusions()
SHAPE = re.compile("|".join(sorted(map(re.escape, CONFUSIONS), key=len, reverse=True)))


@dataclass(frozen=True)
class ScanErrors(NoiseStep):
    """Makes the errors of scanned text: `rn` for `m`, `0` for `O`, `1` for `l`, and a space lost now and then.

    Each shape that is easily confused is replaced with the probability `rate`, and each space left out with a quarter
    of it. The other arguments are those of `NoiseStep`.

    Args:
        rate: The share of confusable shapes. Default: 0.05.
    """

    name: ClassVar[str] = "scan_errors"

    rate: float = 0.05

    def disturb(self, text: str, random: Random) -> str:
        def confuse(match: re.Match[str]) -> str:
            shape = match.group()
            return random.choice(CONFUSIONS[shape]) if random.random() < self.rate else shape

        scanned = SHAPE.sub(confuse, text)
        return "".join(part for part in scanned if part != " " or random.random() >= self.rate / 4)
