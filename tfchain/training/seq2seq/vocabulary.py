"""Vocabularies of pieces, learnt from parallel texts by sentencepiece."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError, TfchainError, first_line

PieceModel = Literal["unigram", "bpe"]
END, UNKNOWN, PAD = "</s>", "<unk>", "<pad>"
LEARNT_SENTENCES = 1_000_000  # more than that change the pieces little
THREADS = 2


@dataclass(frozen=True, kw_only=True)
class VocabularyOptions:
    """What pieces are learnt.

    Args:
        size: The most tokens of a vocabulary, the end, the unknown token and padding included. Fewer, if the texts have
            no more. Default: 8,000.
        model: `unigram` (Kudo 2018) or `bpe` (Sennrich et al. 2016), of sentencepiece. Default: `unigram`.
        is_joint: Whether source and target have one vocabulary, and then one table of embeddings. Separate ones suit
            languages of different scripts: the decoder then chooses among the target's pieces alone, and each has
            `size` tokens. Default: True.
        coverage: The share of all characters of the texts that have a token; the rarest others are unknown, in
            (0, 1]. Default: 1, all characters.

    Raises:
        InputError: if a value is out of range.
    """

    size: int = 8000
    model: PieceModel = "unigram"
    is_joint: bool = True
    coverage: float = 1.0

    def __post_init__(self) -> None:
        check_whole_number("size", self.size, least=8, advice="8,000 suits some ten thousand sentences.")
        if self.model not in get_args(PieceModel):
            raise InputError(f"`model` must be 'unigram' or 'bpe'. Received: model={self.model!r}.", argument="model")
        if not isinstance(self.is_joint, bool):
            raise InputError(f"`is_joint` must be True or False. Received: is_joint={self.is_joint!r}.")
        if not isinstance(self.coverage, int | float) or not 0 < self.coverage <= 1:
            raise InputError(f"`coverage` must be in (0, 1]. Received: coverage={self.coverage!r}.")


@dataclass(frozen=True)
class LearntVocabulary:
    """Two models of pieces and the ids of their pieces, as Marian's folders have them.

    Args:
        source_model: sentencepiece's model of the source language.
        target_model: sentencepiece's model of the target language; the same for a joint vocabulary.
        ids: Piece → id of the source, and of the target unless it has its own: the end is 0, the unknown token 1,
            padding 2.
        target_ids: Piece → id of the target. Default: those of the source.
    """

    source_model: bytes
    target_model: bytes
    ids: dict[str, int]
    target_ids: dict[str, int] | None = None

    def files(self) -> dict[str, bytes]:
        """Returns the files from which Marian's tokenizer is read, by their names."""
        settings: dict[str, Any] = {
            "tokenizer_class": "MarianTokenizer",
            "eos_token": END,
            "unk_token": UNKNOWN,
            "pad_token": PAD,
            "separate_vocabs": self.target_ids is not None,
        }
        files = {"source.spm": self.source_model, "target.spm": self.target_model, "vocab.json": _to_json(self.ids)}
        if self.target_ids is not None:
            files["target_vocab.json"] = _to_json(self.target_ids)
        return {**files, "tokenizer_config.json": _to_json(settings)}


def learn_vocabulary(
    sources: Sequence[str], targets: Sequence[str], options: VocabularyOptions | None = None
) -> LearntVocabulary:
    """Learns the pieces of parallel texts.

    Texts are not normalised: `，` stays what it is, and an unknown character is one unknown token. White space is part
    of pieces, as sentencepiece has it, so that scripts without spaces need no other care. The same texts give the same
    pieces.

    Args:
        sources: Texts of the source language.
        targets: Texts of the target language.
        options: The size, the kind of model. Default: `VocabularyOptions()`.

    Raises:
        InputError: if the texts have more characters than the vocabulary has tokens.
        TfchainError: if sentencepiece is not installed.
    """
    options = options or VocabularyOptions()
    if options.is_joint:
        model = _learn([*sources, *targets], options)
        return LearntVocabulary(model, model, _number(_pieces(model)))
    models = [_learn(texts, options) for texts in (sources, targets)]
    ids, target_ids = (_number(_pieces(model)) for model in models)
    return LearntVocabulary(models[0], models[1], ids, target_ids)


def _learn(texts: Sequence[str], options: VocabularyOptions) -> bytes:
    """Returns sentencepiece's model of texts, of at most the vocabulary's pieces without padding."""
    sentencepiece = _load()
    step = -(-len(texts) // LEARNT_SENTENCES)
    lines = [text.replace("\n", " ").replace("\0", " ") for text in texts[::step]]
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            vocab_size=options.size - 1,  # padding is not a piece
            hard_vocab_limit=False,  # few texts have fewer pieces
            model_type=options.model,
            character_coverage=options.coverage,
            normalization_rule_name="identity",
            max_sentence_length=1 << 20,  # bytes: none is left out
            unk_id=1,
            eos_id=0,
            bos_id=-1,
            pad_id=-1,
            eos_piece=END,
            unk_piece=UNKNOWN,
            num_threads=THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise InputError(
            f"No vocabulary of {options.size} tokens can be learnt from {len(lines)} texts: {first_line(error)}. "
            "Change `size`, or `coverage`, which decides how many characters have a token."
        ) from error
    return written.getvalue()


def _pieces(model: bytes) -> list[str]:
    """Returns a model's pieces by their number there."""
    processor = _load().SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(number) for number in range(processor.get_piece_size())]


def _number(pieces: Iterable[str]) -> dict[str, int]:
    """Returns ids: those of the end, the unknown token and padding are the same in every vocabulary."""
    return {piece: number for number, piece in enumerate(dict.fromkeys([END, UNKNOWN, PAD, *pieces]))}


def _load() -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise TfchainError(
            "Vocabularies are learnt by sentencepiece, which is not installed. Install tfchain[translation]."
        ) from error
    return sentencepiece


def _to_json(values: Any) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode()
