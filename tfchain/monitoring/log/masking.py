"""Takes personal data out of records before they are written: texts are masked, people get pseudonyms."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Mask = Callable[[str], str]
_PSEUDONYM_BYTES = 16


@dataclass(frozen=True)
class Masker:
    """Masks what clients send.

    Args:
        mask: From a text to the text without personal data, such as the cleaning steps of `tfchain.data`.
        key: The key of the pseudonyms. It is never written, so a pseudonym cannot be traced back by trying out names,
            and nobody has the same one in two runs of a server. Default: a random one.
    """

    mask: Mask
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def text(self, text: str) -> str:
        """Returns a text without personal data."""
        return self.mask(text) if text else text

    def person(self, name: str) -> str:
        """Returns a pseudonym for a client, a session or a user; the same for the same name. Empty stays empty."""
        if not name:
            return name
        return hashlib.blake2b(name.encode("utf-8", "replace"), key=self.key, digest_size=_PSEUDONYM_BYTES).hexdigest()

    def identifier(self, identifier: str) -> str:
        """Returns an id that a client gave; a pseudonym in place of one with personal data."""
        return identifier if self.text(identifier) == identifier else self.person(identifier)

    def value(self, value: Any) -> Any:
        """Returns a JSON value whose texts, names of fields and long numbers are masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = str(value)
            masked = self.text(written)
            return value if masked == written else masked
        return value
