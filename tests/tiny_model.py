"""A small random BERT with a WordPiece tokenizer, in a folder as sentence-transformers writes it."""

import string
from pathlib import Path

import keras
from transformers import BertTokenizer

from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("the", "a", "cat", "dog", "sleep", "##s", "run", "stock", "fell", "on", "monday", "what", "does", "do", "who")
MAX_LENGTH = 24


def save_tiny_model(
    folder: Path, *, seed: int, architecture: str = "bert", hidden_dim: int = 16, num_layers: int = 2
) -> None:
    """Writes the folder.

    Args:
        folder: A new folder.
        seed: Of the random weights.
        architecture: As in `TransformerConfig`. Default: `bert`.
        hidden_dim: As in `TransformerConfig`. Default: 16, so small that LiteRT quantizes the embedding alone.
        num_layers: As in `TransformerConfig`. Default: 2.
    """
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation, *"你好我是一个智能助手"]
    tokens = dict.fromkeys([*SPECIAL, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
    tokenizer = BertTokenizer(
        vocab={token: number for number, token in enumerate(tokens)}, do_lower_case=True, model_max_length=MAX_LENGTH
    )
    keras.utils.set_random_seed(seed)
    encoder = Encoder(
        EncoderConfig(
            transformer=TransformerConfig(
                architecture=architecture,
                vocabulary_size=len(tokens),
                hidden_dim=hidden_dim,
                num_layers=num_layers,
                num_heads=2,
                intermediate_dim=2 * hidden_dim,
                max_positions=MAX_LENGTH,
                num_token_types=2,
            ),
            normalize=True,
        )
    )
    folder.mkdir(parents=True)
    TextEncoder(tokenizer, encoder, engine="tensorflow").save(folder)
