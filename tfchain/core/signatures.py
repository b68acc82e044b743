"""The names that every exported version shares: signatures of any text model, and its flatbuffer."""

from dataclasses import dataclass

SERVING_DEFAULT = "serving_default"  # what the version's task answers
EMBED = "embed"  # text → embedding, with the model's default prompt
EMBED_IDS = "embed_ids"  # token_ids, padding_mask → embedding
TOKENIZE = "tokenize"  # text → token_ids, padding_mask, with the model's default prompt

TFLITE_FILE = "model.tflite"  # in a version's folder, where TensorFlow Serving's --prefer_tflite_model looks
PREDICT = "tensorflow/serving/predict"  # methods of TensorFlow Serving, as a SignatureDef names them
CLASSIFY = "tensorflow/serving/classify"


@dataclass(frozen=True, slots=True)
class Halves:
    """What lies before and behind the encoder in a signature of texts.

    Versions that hold a flatbuffer have the halves as signatures of their own, and name them in their description: a
    server that runs the flatbuffer by itself does the rest with them.

    Args:
        tokenize: The signature from texts to what `embed_ids` takes.
        answer: The signature from vectors to the answer; None where the vectors are the answer.
    """

    tokenize: str
    answer: str | None
