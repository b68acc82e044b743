"""Trains small sentencepiece models for fixtures; run in the environment of `make test-torch`."""

import io
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2


def train_with_rules(texts: Iterable[str], rules: Mapping[str, str], **options: Any) -> bytes:
    """Trains a model that replaces characters by `rules`; the path of their file, which a model notes, is taken out."""
    written = io.BytesIO()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "rules.tsv"
        lines = [f"{ord(old):X}\t{ord(new):X}\n" for old, new in rules.items()]
        file.write_text("".join(lines), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=written, normalization_rule_tsv=str(file),
            hard_vocab_limit=False, minloglevel=2, num_threads=1, **options,
        )  # fmt: skip
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(written.getvalue())
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    made: bytes = model.SerializeToString()
    return made
