"""The tokenizer of a graph: picks the class that gives the same ids as a Hugging Face tokenizer."""

from typing import Any

from tfchain.models.tokenizers.hugging_face_parts import check_type, read_parts


def make_graph_tokenizer(tokenizer: Any, *, pad_id: int | None = None, do_lower_case: bool = False) -> Any:
    """Makes the graph of a Hugging Face tokenizer.

    It is called with texts, string `(batch,)`, and the maximum number of tokens, and returns `token_ids` and
    `padding_mask`, int32 `(batch, longest)`. A module that is saved must hold it as an attribute.

    Args:
        tokenizer: A transformers tokenizer with a `backend_tokenizer`: WordPiece, BPE or Unigram.
        pad_id: The id that pads shorter texts. Default: the tokenizer's, else 0. WordPiece takes the tokenizer's.
        do_lower_case: Whether texts are lower-cased before they are normalised. Default: False.

    Raises:
        InputError: if the tokenizer has a part that a graph cannot express; the message names it.
        MissingPackageError: if tensorflow-text is not installed.
    """
    from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer
    from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer

    model = check_type("model", read_parts(tokenizer)["model"], "WordPiece", "BPE", "Unigram")
    if model["type"] != "WordPiece":
        return SentencePieceTokenizer.from_hugging_face(tokenizer, pad_id=pad_id, do_lower_case=do_lower_case)
    return WordPieceTokenizer.from_hugging_face(tokenizer, do_lower_case=do_lower_case)
