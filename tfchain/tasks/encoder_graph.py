"""One encoder in a graph: its weights, its tokenizer, and the way from texts to vectors."""

import logging
from collections.abc import Iterable
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_roles import Role
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.late import LateTokenizer
from tfchain.models.tokenizers.pairs import PairTokenizer
from tfchain.models.tokenizers.prompted_pairs import PromptedPairTokenizer

logger = logging.getLogger(__name__)


class EncoderGraph:
    """A text encoder as TensorFlow functions.

    Args:
        text_encoder: Tokenizer and encoder, in a precision in which TensorFlow computes.
        signature: The name of the signature of its token ids, such as `embed_ids`.
        has_text: Whether texts are to be answered, not only token ids.

    Raises:
        InputError: if TensorFlow does not compute in the text encoder's precision.

    Attributes:
        text_encoder: The text encoder.
        signature: The name of the signature of its token ids.
        tokenizer: The tokenizer's graph; None without texts, or if the tokenizer has none, which is logged.
        weights: The encoder's variables.
        encode: Token ids and padding mask, int32 `(batch, length)` → vectors, float32 `(batch, dim)`.
    """

    def __init__(self, text_encoder: TextEncoder, signature: str, *, has_text: bool) -> None:
        import tensorflow as tf

        if text_encoder.runner.needs_flatbuffer:
            raise InputError(
                "A SavedModel computes in float32, bfloat16 or calibrated int8. "
                f"Received: a text encoder in {text_encoder.precision}. Use its `with_precision('float32')`."
            )
        self.text_encoder = text_encoder
        self.signature = signature
        self.tokenizer: Any = _find_graph_tokenizer(text_encoder.tokenizer, signature) if has_text else None
        self._encoder = text_encoder.runner.compute_encoder
        self.weights = [weight.value for weight in self._encoder.weights]
        self.id_specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
        # One graph each for all signatures: most of an export's time goes into making them.
        self.encode = tf.function(self._call_encoder, input_signature=self.id_specs, autograph=False)
        self._split: dict[int, Any] = {}  # maximum length → the tokenizer's graph

    def make_embed_ids(self) -> Any:
        """Makes a signature from token ids to vectors."""
        import tensorflow as tf

        def embed_ids(token_ids: Any, padding_mask: Any) -> dict[str, Any]:
            return {"embedding": self.encode(token_ids, padding_mask)}

        return tf.function(embed_ids, input_signature=self.id_specs, autograph=False)

    def tokenize(self, text: Any, prompt: str, role: Role | None = None) -> dict[str, Any]:
        """Tokenizes texts in the graph: string `(batch,)` → `token_ids` and `padding_mask`, int32 `(batch, length)`."""
        import tensorflow as tf

        asked = tf.strings.join([prompt, text]) if prompt else text
        tokenizer = self.text_encoder.find_tokenizer(role)
        token_ids, padding_mask = self._find_split(tokenizer.max_length)(asked)
        if isinstance(tokenizer, LateTokenizer):
            from tfchain.models.tokenizers.late_graph import raise_ids

            token_ids, padding_mask = raise_ids(tokenizer, token_ids, padding_mask)
        skipped = self.text_encoder.skipped_tokens(prompt)
        if skipped:
            place = tf.range(tf.shape(padding_mask)[1])[tf.newaxis]
            padding_mask = tf.where((place < skipped) & (padding_mask == 1), 2, padding_mask)
        return {"token_ids": token_ids, "padding_mask": padding_mask}

    def find_tied(self, texts: Iterable[str], prompts: Iterable[str]) -> set[str]:
        """Returns the texts that the graph, after a prompt, cuts in another way, which is exactly as likely."""
        from tfchain.models.tokenizers.unigram_ties import find_tied

        texts = list(texts)
        tokenizer = self.text_encoder.tokenizer.with_length(self.text_encoder.longest)
        found: set[str] = set()
        for prompt in prompts:
            asked = {prompt + text: text for text in texts}
            found |= {asked[text] for text in find_tied(tokenizer, self.tokenizer, asked)}
        return found

    def _find_split(self, max_length: int) -> Any:
        """Returns the tokenizer's graph: string `(batch,)` → token ids and padding mask, at most so long."""
        import tensorflow as tf

        if max_length not in self._split:
            self._split[max_length] = tf.function(
                lambda text: self.tokenizer(text, max_length),
                input_signature=[tf.TensorSpec([None], tf.string, name="text")],
                autograph=False,
            )
        return self._split[max_length]

    def _call_encoder(self, token_ids: Any, padding_mask: Any) -> Any:
        return self._encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)


def make_graph_tokenizer(tokenizer: HostTokenizer) -> Any:
    """Makes a TensorFlow graph of a tokenizer.

    Raises:
        InputError: if the tokenizer has a part that the graph cannot express.
    """
    from tfchain.models.tokenizers.graph_tokenizer import make_graph_tokenizer as make

    made = make(tokenizer.tokenizer, pad_id=tokenizer.pad_token_id, do_lower_case=tokenizer.do_lower_case)
    if not isinstance(tokenizer, PairTokenizer):
        return made
    from tfchain.models.tokenizers.pair_graph import PairGraphTokenizer, PromptedPairGraphTokenizer

    if isinstance(tokenizer, PromptedPairTokenizer):
        return PromptedPairGraphTokenizer(made, tokenizer)
    return PairGraphTokenizer(made, tokenizer)


def _find_graph_tokenizer(tokenizer: HostTokenizer, signature: str) -> Any | None:
    try:
        return make_graph_tokenizer(tokenizer)
    except InputError as error:
        logger.warning(
            "The tokenizer has no TensorFlow graph, so the version answers token ids only: its clients tokenize, "
            "and send `token_ids` and `padding_mask` to `%s`. %s",
            *(signature, error),
        )
        return None
