"""What both tokenizers of a graph share: how they are called, by an encoder's graph or for ids alone."""

import tensorflow as tf

from tfchain.models.tokenizers.framing import Framing


class FramedTokenizer:
    """Tokenizes texts in a graph. A subclass splits them into tokens; what is put around each text is `framing`."""

    framing: Framing

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Splits texts, string `(batch,)`, into token ids without prefix and suffix, int32 `(batch, (tokens))`."""
        raise NotImplementedError

    def __call__(self, texts: tf.Tensor, max_length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Tokenizes texts for an encoder: truncated, with prefix and suffix, padded to the longest.

        Args:
            texts: string `(batch,)`, UTF-8.
            max_length: The maximum number of tokens, prefix and suffix included.

        Returns:
            `token_ids` and `padding_mask` (1 for a token, 0 for padding), int32 `(batch, longest)`.

        Raises:
            InputError: if `max_length` leaves no room for prefix and suffix.
        """
        return self.framing(self.tokenize(texts), max_length)
