"""The shape of a translation model that is made from nothing."""

import math
from dataclasses import dataclass, field

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.training.seq2seq.vocabulary import END, PAD, LearntVocabulary, VocabularyOptions


@dataclass(frozen=True, kw_only=True)
class NewModel:
    """The shape of a new translation model: a Marian transformer (Junczys-Dowmunt et al. 2018).

    The defaults suit some ten thousand sentences and a processor; opus-mt's models are 512 wide, with 6 and 6 layers
    of 8 heads, 2,048 between, and 32,000 to 65,000 tokens.

    Args:
        hidden_dim: Width of embeddings and layers. Default: 256.
        num_layers: The encoder's layers. Default: 3.
        num_decoder_layers: The decoder's layers. Default: 3.
        num_heads: Attention heads of a layer. Default: 4.
        intermediate_dim: Width of the feed-forward networks. Default: 1,024.
        dropout: Rate while training. Default: 0.1.
        max_length: The most tokens of a text, and of a translation. Default: 256.
        vocabulary: What pieces are learnt. Default: `VocabularyOptions()`.

    Raises:
        InputError: if a value is out of range.
    """

    hidden_dim: int = 256
    num_layers: int = 3
    num_decoder_layers: int = 3
    num_heads: int = 4
    intermediate_dim: int = 1024
    dropout: float = 0.1
    max_length: int = 256
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)

    def __post_init__(self) -> None:
        for name in ("hidden_dim", "num_layers", "num_decoder_layers", "num_heads", "intermediate_dim", "max_length"):
            check_whole_number(name, getattr(self, name))
        if self.hidden_dim % 2 or self.hidden_dim % self.num_heads:
            raise InputError(
                "`hidden_dim` must be even and a multiple of `num_heads`. "
                f"Received: hidden_dim={self.hidden_dim}, num_heads={self.num_heads}.",
                argument="hidden_dim",
            )
        if not isinstance(self.vocabulary, VocabularyOptions):
            raise InputError(f"`vocabulary` must be VocabularyOptions. Received: {self.vocabulary!r:.60}.")

    def to_config(self, vocabulary: LearntVocabulary) -> Seq2SeqConfig:
        """Returns the shape with a vocabulary's sizes and tokens."""
        size = len(vocabulary.ids)
        own = vocabulary.target_ids
        return Seq2SeqConfig(
            family="marian",
            vocabulary_size=size,
            target_vocabulary_size=None if own is None else len(own),
            hidden_dim=self.hidden_dim,
            num_layers=self.num_layers,
            num_decoder_layers=self.num_decoder_layers,
            num_heads=self.num_heads,
            intermediate_dim=self.intermediate_dim,
            dropout=self.dropout,
            max_positions=self.max_length,
            embedding_scale=math.sqrt(self.hidden_dim),
            has_logits_bias=True,
            pad_token_id=vocabulary.ids[PAD],
            eos_token_id=vocabulary.ids[END],
            decoder_start_token_id=vocabulary.ids[PAD],
        )
