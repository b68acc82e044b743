"""The names that every exported version shares: the signatures of text models, and the flatbuffer's file."""

from dataclasses import dataclass

SERVING_DEFAULT = "serving_default"  # the answer of the version's task
EMBED = "embed"  # text → embedding, with the model's default prompt
EMBED_QUERY = "embed_query"  # the same with the prompt for queries, where that is not the default
EMBED_DOCUMENT = "embed_document"  # the same with the prompt for documents
EMBED_IDS = "embed_ids"  # token_ids, padding_mask → embedding
EMBED_QUERY_IDS = "embed_query_ids"  # the same for queries, where these have an encoder of their own
TOKENIZE = "tokenize"  # text → token_ids, padding_mask, with the model's default prompt
TOKENIZE_QUERY = "tokenize_query"  # the same with the prompt for queries, where that is not the default
TOKENIZE_DOCUMENT = "tokenize_document"  # the same with the prompt for documents

RERANK = "rerank"  # text, text_pair → score, output
SEARCH_FILTERED = "search_filtered"  # text, and which documents may be found → ids, scores, texts

TFLITE_FILE = "model.tflite"  # in a version's folder, where TensorFlow Serving's --prefer_tflite_model looks
VOCABULARY_FILE = "assets.extra/vocabulary.json"  # in a version's folder: the tokens by id
QUERY_VOCABULARY_FILE = "assets.extra/query_vocabulary.json"  # those of queries, where they have their own encoder
PREDICT = "tensorflow/serving/predict"  # TensorFlow Serving's methods, as named in a SignatureDef
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@dataclass(frozen=True, slots=True)
class Halves:
    """The parts of a text signature before and after the encoder.

    Versions with a flatbuffer export the halves as separate signatures, and name them in their description: a server
    that runs the flatbuffer itself uses them for the rest.

    Args:
        tokenize: The signature from texts to the inputs of `embed_ids`.
        answer: The signature from vectors to the answer; None if the vectors are the answer.
    """

    tokenize: str
    answer: str | None
