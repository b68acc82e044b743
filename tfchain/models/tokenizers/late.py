"""Queries and documents of late interaction as token ids: queries expanded, and each id raised by how its token counts.

Ids say which tokens have a vector and which are attended to (`encoders.token_vectors`), so that everything that handles
token ids handles them: batches, calibrations, engines, signatures.
"""

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self

from tfchain.models.encoders.token_vectors import NOT_ATTENDED, NOT_SCORED, TokenVectorConfig
from tfchain.models.tokenizers.host import HostTokenizer

Side = Literal["query", "document"]


class LateTokenizer(HostTokenizer):
    """Turns texts into token ids as documents, or after `for_queries` as queries.

    Args:
        tokenizer: As for `HostTokenizer`.
        tokens: Which tokens have vectors.
        vocabulary_size: The rows of the model's token embedding.
        **options: As for `HostTokenizer`.
    """

    side: Side = "document"

    def __init__(self, tokenizer: Any, *, tokens: TokenVectorConfig, vocabulary_size: int, **options: Any) -> None:
        super().__init__(tokenizer, **options)
        self.tokens = tokens
        self.vocabulary_size = vocabulary_size
        self._skipped = frozenset(tokens.skipped_ids)

    def for_queries(self, max_length: int | None) -> Self:
        """Returns a tokenizer of queries, which shares the vocabulary.

        Args:
            max_length: The maximum number of tokens. Default: `expanded_length` if longer queries are truncated to it,
                else this one's.
        """
        tokens = self.tokens
        expanded = tokens.expanded_length if tokens.expanded_length and tokens.truncates_expanded else None
        made = copy.copy(self.with_length(expanded or max_length))
        made.side = "query"
        return made

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each text, special tokens included, raised by how they count."""
        return [self._raise(ids) for ids in super().__call__(texts)]

    @property
    def expansion(self) -> int | None:
        """The id that shorter queries are expanded with, raised; None for documents, and without an expansion."""
        if self.side != "query" or self.tokens.expansion_id is None:
            return None
        flag = 0 if self.tokens.attends_to_expansion else NOT_ATTENDED
        return self.tokens.expansion_id + flag * self.vocabulary_size

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "side": self.side}

    def _raise(self, ids: list[int]) -> list[int]:
        if self.side == "document":
            offset = NOT_SCORED * self.vocabulary_size
            return [number + offset if number in self._skipped else number for number in ids]
        expansion = self.expansion
        return ids if expansion is None else [*ids, *[expansion] * (self.tokens.expanded_length - len(ids))]
