"""How an encoder gives a vector for each token, as late interaction (ColBERT) compares texts, instead of one a text."""

from dataclasses import dataclass

from tfchain.core.errors import InputError

# What a token's id is raised by, in vocabularies: it says how the token counts (`tokenizers.late`).
NOT_SCORED = 1  # attended to, without a vector of its own: a document's punctuation
NOT_ATTENDED = 2  # with a vector, which no other token sees: what a query is expanded with


@dataclass(frozen=True, kw_only=True)
class TokenVectorConfig:
    """Which tokens of a query and of a document have vectors.

    Args:
        num_vectors: Rows of a text's matrix of vectors; rows without a token are zero. Not fewer than the tokens of the
            longest query and document.
        expanded_length: The tokens to which shorter queries are expanded; 0 for none. Default: 0.
        expansion_id: The token that they are expanded with, mostly `[MASK]`. Default: none.
        attends_to_expansion: Whether other tokens attend to those. Default: False.
        truncates_expanded: Whether longer queries are truncated to `expanded_length`. Default: True.
        skipped_ids: Tokens of a document that have no vector, mostly punctuation. Default: none.

    Raises:
        InputError: if values do not fit together.
    """

    num_vectors: int
    expanded_length: int = 0
    expansion_id: int | None = None
    attends_to_expansion: bool = False
    truncates_expanded: bool = True
    skipped_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "skipped_ids", tuple(sorted(set(self.skipped_ids))))
        if self.num_vectors < max(self.expanded_length, 1):
            raise InputError(
                f"`num_vectors` must be at least 1, and at least `expanded_length`, {self.expanded_length}. "
                f"Received: num_vectors={self.num_vectors}."
            )
        if bool(self.expanded_length) != (self.expansion_id is not None):
            raise InputError(
                "`expansion_id` must be given where queries are expanded, and only there. "
                f"Received: expanded_length={self.expanded_length}, expansion_id={self.expansion_id}."
            )
