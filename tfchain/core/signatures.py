"""The names of what an exported version offers: its signatures, and its flatbuffer."""

from dataclasses import dataclass

EMBED = "embed"  # text → embedding, with the model's default prompt
EMBED_IDS = "embed_ids"  # token_ids, padding_mask → embedding
SEARCH = "search"  # text → ids, scores, texts, with the model's prompt for queries
SERVING_DEFAULT = "serving_default"  # the same as SEARCH

# Halves of the text signatures, in versions that hold a flatbuffer: what a server does before and behind an encoder
# that it runs by itself.
TOKENIZE = "tokenize"  # text → token_ids, padding_mask, with the model's default prompt
TOKENIZE_QUERY = "tokenize_query"  # the same with the model's prompt for queries
SEARCH_VECTORS = "search_vectors"  # embedding → ids, scores, texts

TFLITE_FILE = "model.tflite"  # in a version's folder, where TensorFlow Serving's --prefer_tflite_model looks


@dataclass(frozen=True, slots=True)
class Halves:
    """What lies before and behind the encoder in a signature of texts.

    Args:
        tokenize: The signature from texts to what `embed_ids` takes.
        answer: The signature from vectors to the answer; None where the vectors are the answer.
    """

    tokenize: str
    answer: str | None


HALVES = {
    EMBED: Halves(TOKENIZE, None),
    SEARCH: Halves(TOKENIZE_QUERY, SEARCH_VECTORS),
    SERVING_DEFAULT: Halves(TOKENIZE_QUERY, SEARCH_VECTORS),
}
