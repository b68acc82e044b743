"""What a request for deletion names: documents by id, and the texts that they held."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfchain.core.types import Document

ID_KEYS = frozenset({"id", "_id", "docid", "doc_id", "document", "document_id", "source_id", "ids"})
PART = re.compile(r"#[0-9]+$")  # the id of a passage is its document's id with `#` and a number
LONG_TEXT = 40  # characters; a shorter text inside another one may stand there by chance


@dataclass(frozen=True)
class Target:
    """The documents to forget.

    Args:
        ids: Their ids.
        texts: Their texts, to find copies that have no id, such as rows to train on. Default: none.
    """

    ids: frozenset[str]
    texts: frozenset[str] = frozenset()

    def with_documents(self, documents: Iterable[Document]) -> "Target":
        """Returns a target that also finds copies of these documents' titles and texts."""
        found = (text.strip() for document in documents for text in (document.text, document.full_text))
        return Target(self.ids, self.texts | {text for text in found if text})

    def names(self, id: Any) -> bool:
        """Returns whether an id is that of a document to forget, or of a part of one (`7#2` of `7`)."""
        text = str(id)
        return text in self.ids or PART.sub("", text) in self.ids

    def matches(self, value: Any, key: str = "") -> bool:
        """Returns whether a value, or anything in it, comes from a document to forget.

        Args:
            value: A record: a dict, with dicts, lists and plain values in it.
            key: The key under which the value stands; values under `id`, `document` and the like are compared with the
                ids.

        Returns:
            Whether there is one of the ids, one of the texts, or a longer text that holds one of at least 40
            characters.
        """
        if isinstance(value, Mapping):
            return any(self.matches(inner, str(name)) for name, inner in value.items())
        if isinstance(value, list | tuple):
            return any(self.matches(inner, key) for inner in value)
        if key in ID_KEYS and isinstance(value, str | int) and self.names(value):
            return True
        return isinstance(value, str) and self.holds_text(value)

    def holds_text(self, text: str) -> bool:
        """Returns whether a text is one of the texts, or holds one of at least 40 characters."""
        text = text.strip()
        return text in self.texts or any(len(known) >= LONG_TEXT and known in text for known in self.texts)

    def prune(self, value: Any) -> tuple[Any, int]:
        """Returns a value without the items of its lists that come from a document to forget, and their number.

        Args:
            value: The content of a JSON file, such as a report with examples.
        """
        if isinstance(value, list):
            kept = [inner for inner in value if not self.matches(inner)]
            pruned = [self.prune(inner) for inner in kept]
            return [inner for inner, _ in pruned], len(value) - len(kept) + sum(count for _, count in pruned)
        if isinstance(value, dict):
            found = {name: self.prune(inner) for name, inner in value.items()}
            return {name: inner for name, (inner, _) in found.items()}, sum(count for _, count in found.values())
        return value, 0
