"""Small models that translate, one for each family, with random weights and tokenizers trained on forty sentences.

Run in the environment of `make test-torch`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

from tests.parity.piece_training import train_with_rules
from tests.parity.translation_sentences import CHINESE, ENGLISH

# Some of NFKC: full-width letters, a circled digit, and a quotation mark.
NORMALIZED = {"ｆ": "f", "ｕ": "u", "ｌ": "l", "①": "1", "\u2019": "'", "\u3000": " "}
SIZES = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2}
BART = {**SIZES, "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 32, "init_std": 0.5}
T5 = {"d_model": 16, "d_kv": 6, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2}
DISTANCES = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 12}


def train_pieces(sentences: tuple[str, ...], size: int, kind: str = "unigram", **options: Any) -> bytes:
    """Trains a sentencepiece model with a few rules of normalisation: NFKC's, as most models have it, take 240 KB."""
    return train_with_rules(sentences, NORMALIZED, vocab_size=size, model_type=kind, character_coverage=1.0, **options)


def list_pieces(proto: bytes) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    return [processor.id_to_piece(number) for number in range(len(processor))]


def save_marian(folder: Path) -> None:
    """Saves a Marian model with a joint vocabulary, of which the target's part is not in the source's pieces."""
    source, target = train_pieces(ENGLISH, 90), train_pieces(CHINESE, 170)
    (folder / "source.spm").write_bytes(source)
    (folder / "target.spm").write_bytes(target)
    tokens = ["</s>", "<unk>", *list_pieces(source), *list_pieces(target), ">>fra<<", ">>deu<<", "<pad>"]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    settings = {"source_lang": "en", "target_lang": "zh", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    pad = vocabulary["<pad>"]
    config = transformers.MarianConfig(
        **BART, vocab_size=len(vocabulary), decoder_vocab_size=len(vocabulary), max_position_embeddings=64,
        pad_token_id=pad, eos_token_id=0, decoder_start_token_id=pad, forced_eos_token_id=0, scale_embedding=True,
        activation_function="swish", share_encoder_decoder_embeddings=True,
    )  # fmt: skip
    model = transformers.MarianMTModel(config)
    model.final_logits_bias.normal_(std=0.5)
    model.generation_config = transformers.GenerationConfig(
        bad_words_ids=[[pad]], decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0, max_length=24,
        num_beams=4, pad_token_id=pad, renormalize_logits=True,
    )  # fmt: skip
    save(model, folder)


def save_m2m_100(folder: Path) -> None:
    """Saves an M2M-100 model: a vocabulary in vocab.json, then a token for each language."""
    proto = train_pieces((*ENGLISH, *CHINESE), 220, "bpe")
    (folder / "sentencepiece.bpe.model").write_bytes(proto)
    tokens = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *list_pieces(proto)])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    codes = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    settings = {
        "src_lang": "en", "tgt_lang": "zh", "language_codes": "m2m100", "tokenizer_class": "M2M100Tokenizer",
        "additional_special_tokens": codes,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    save(make_m2m_100(len(vocabulary) + 100 + 8), folder)


def save_nllb(folder: Path) -> None:
    """Saves an NLLB model: the same layers, and a tokenizer.json with language tokens."""
    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=220, special_tokens=special, show_progress=False)
    trained.train_from_iterator([*ENGLISH, *CHINESE], trainer)
    model = json.loads(trained.to_str())["model"]
    tokenizer = transformers.NllbTokenizer(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], src_lang="eng_Latn",
        tgt_lang="zho_Hans", extra_special_tokens=["deu_Latn", "eng_Latn", "zho_Hans"],
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    save(make_m2m_100(len(tokenizer) + 2), folder)


def make_m2m_100(size: int) -> Any:
    config = transformers.M2M100Config(
        **BART, vocab_size=size, max_position_embeddings=48, pad_token_id=1, eos_token_id=2, bos_token_id=0,
        decoder_start_token_id=2, scale_embedding=True, activation_function="relu",
    )  # fmt: skip
    model = transformers.M2M100ForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=2, eos_token_id=2, pad_token_id=1, bos_token_id=0, max_length=24, num_beams=5,
        early_stopping=True,
    )  # fmt: skip
    return model


def save_t5(folder: Path) -> None:
    """Saves a T5 model with shared embeddings, whose decoder's output is scaled."""
    size = save_t5_tokenizer(folder)
    config = transformers.T5Config(
        **T5, **DISTANCES, vocab_size=size + 3, feed_forward_proj="relu", decoder_start_token_id=0,
        initializer_factor=2.0,
    )  # fmt: skip
    save(transformers.T5ForConditionalGeneration(config), folder, max_length=24)


def save_mt5(folder: Path) -> None:
    """Saves an mT5 model: a gated feed-forward network, and a head of its own."""
    size = save_t5_tokenizer(folder)
    config = transformers.MT5Config(**T5, **DISTANCES, vocab_size=size + 3, initializer_factor=2.0)
    model = transformers.MT5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn(size + 3, 16))
    save(model, folder, max_length=24)


def save_t5_tokenizer(folder: Path) -> int:
    """Saves a Unigram tokenizer; returns the number of its tokens."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")]
    )
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=220, special_tokens=special, unk_token="<unk>", show_progress=False)
    trained.train_from_iterator([*ENGLISH, *CHINESE], trainer)
    vocabulary = [tuple(entry) for entry in json.loads(trained.to_str())["model"]["vocab"]]
    vocabulary += [(f"<extra_id_{number}>", 0.0) for number in range(3, -1, -1)]
    tokenizer = transformers.T5Tokenizer(vocab=vocabulary, extra_ids=4)
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def save(model: Any, folder: Path, **generation: Any) -> None:
    """Saves a model whose norms and biases are not those of a new one."""
    for name, weight in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.normal_(weight, mean=1.0, std=0.1)
        elif weight.ndim == 1:
            torch.nn.init.normal_(weight, std=0.1)
    rows = model.get_output_embeddings().weight
    rows.data[model.config.eos_token_id] *= 2  # so that some targets end early
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)


SAVERS = {
    "marian": save_marian,
    "m2m_100": save_m2m_100,
    "nllb": save_nllb,
    "t5": save_t5,
    "mt5": save_mt5,
}


def list_choices(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the choices of generation that are compared, by name."""
    yield "greedy", {"num_beams": 1}
    yield "beam", {"num_beams": 4, "early_stopping": False}
    yield "beam_short", {"num_beams": 3, "length_penalty": 0.2, "early_stopping": True, "num_return_sequences": 2}
    yield "beam_never", {"num_beams": 4, "length_penalty": 2.0, "early_stopping": "never", "min_length": 6}
    yield "greedy_rules", {"num_beams": 1, "repetition_penalty": 1.7, "no_repeat_ngram_size": 2, "max_length": 16}
    yield "beam_rules", {"num_beams": 3, "repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "max_length": 18}
    yield "beam_words", {"num_beams": 2, "bad_words_ids": [[9], [12, 14], [20, 21, 22]], "renormalize_logits": False}
