"""Small towers with new weights and a vocabulary of one's own captions, to train from nothing."""

from collections.abc import Iterable
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.texts import check_texts
from tfchain.models.images.config import (
    ImageTextConfig,
    ImageTowerConfig,
    LayersConfig,
    PictureConfig,
    TextTowerConfig,
)
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.models.tokenizers.hugging_face import load_transformers

HEAD_DIM = 32
PATCHES_A_SIDE = 8
MAX_LENGTH = 32
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def make_small_model(
    captions: Iterable[str],
    *,
    image_size: int = 64,
    dim: int = 128,
    num_layers: int = 4,
    vocabulary_size: int = 4000,
    sigmoid: bool = False,
    seed: int = 0,
) -> ImageTextModel:
    """Makes small towers with new weights.

    Args:
        captions: Texts that the vocabulary is learned from.
        image_size: The side of a picture in pixels, a multiple of 8; there are 64 patches. Default: 64.
        dim: The width of both towers, a multiple of 32. Default: 128.
        num_layers: The layers of each tower. Default: 4.
        vocabulary_size: The most tokens. Default: 4000.
        sigmoid: Whether the towers are SigLIP's, with a bias for the sigmoid loss. Default: False, they are CLIP's.
        seed: The seed of the weights. Default: 0.

    Raises:
        InputError: if a value is out of range.
    """
    from tfchain.models.images.two_towers import make_two_towers

    if image_size < PATCHES_A_SIDE or image_size % PATCHES_A_SIDE:
        raise InputError(f"`image_size` must be a multiple of {PATCHES_A_SIDE}. Received: image_size={image_size}.")
    if dim < HEAD_DIM or dim % HEAD_DIM:
        raise InputError(f"`dim` must be a multiple of {HEAD_DIM}. Received: dim={dim}.")
    tokenizer = make_clip_tokenizer(captions, vocabulary_size)
    layers = LayersConfig(
        hidden_dim=dim,
        num_layers=num_layers,
        num_heads=dim // HEAD_DIM,
        intermediate_dim=4 * dim,
        activation="gelu_tanh" if sigmoid else "quick_gelu",
    )
    config = ImageTextConfig(
        family="siglip" if sigmoid else "clip",
        image=ImageTowerConfig(
            layers=layers,
            image_size=image_size,
            patch_size=image_size // PATCHES_A_SIDE,
            pooling="attention" if sigmoid else "class",
        ),
        text=TextTowerConfig(
            layers=layers,
            vocabulary_size=len(tokenizer),
            max_length=MAX_LENGTH,
            pooling="last" if sigmoid else "eos",
            eos_id=None if sigmoid else int(tokenizer.eos_token_id),
            is_causal=not sigmoid,
            pads_to_length=sigmoid,
        ),
        embedding_dim=dim,
    )
    pictures = PictureConfig(size=(image_size, image_size), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return ImageTextModel(config, tokenizer, pictures, make_two_towers(config, seed=seed))


def make_clip_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Any:
    """Learns a tokenizer of CLIP's kind: byte-level BPE with `</w>` at the end of words, in lower case.

    Args:
        texts: The texts that merges are counted on.
        vocabulary_size: The most tokens; 514 of them are bytes and special tokens.

    Raises:
        InputError: if there is no text, or the vocabulary is too small.
    """
    from tokenizers import Tokenizer, pre_tokenizers, trainers

    texts = [text for text in check_texts([texts] if isinstance(texts, str) else texts) if text.strip()]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    least = 2 * len(alphabet) + len(SPECIAL)
    if not texts or vocabulary_size < least:
        raise InputError(
            f"A vocabulary needs texts, and at least {least} tokens. Received: {len(texts)} texts, "
            f"vocabulary_size={vocabulary_size}."
        )
    kind = load_transformers().CLIPTokenizer
    trained = Tokenizer.from_str(kind().backend_tokenizer.to_str())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(SPECIAL) - len(alphabet),
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    import json

    merges = [tuple(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(f"{character}</w>" for character in alphabet), *map("".join, merges), *SPECIAL]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return kind(vocab=vocabulary, merges=merges, model_max_length=MAX_LENGTH)
