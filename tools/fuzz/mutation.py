"""Damages bytes: what all inputs that are made by mutation share."""

from collections.abc import Sequence
from random import Random

ODD_BYTES = (
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b'"',
    b"\\",
    b"\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
)


def mutate(random: Random, data: bytes, tokens: Sequence[bytes] = (), most: int = 4) -> bytes:
    """Damages bytes in one to `most` places.

    Args:
        random: The source of chance.
        data: The bytes.
        tokens: Pieces of the format, which are put in here and there.
        most: The most places to damage.
    """
    for _ in range(random.randint(1, most)):
        at = random.randint(0, len(data))
        to = min(len(data), at + random.choice((1, 1, 2, 4, 16, 64)))
        match random.randrange(7):
            case 0 if at < len(data):
                data = data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:to] + data[at:to] * random.choice((1, 1, 2, 50)) + data[to:]
            case 3:
                data = data[:at] + random.choice((*tokens, *ODD_BYTES)) + data[at:]
            case 4:
                data = data[:at] + random.choice((*tokens, *ODD_BYTES)) + data[to:]
            case 5 if random.random() < 0.3:
                data = data[:at]
            case _:
                data = data[:at] + random.randbytes(random.choice((1, 2, 8))) + data[to:]
    return data
