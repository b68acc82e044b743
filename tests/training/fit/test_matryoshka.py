"""What a training tells a model of the lengths to which its vectors may be cut."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.conftest import ROWS, MakeTextEncoder
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.fit.fit import FitOptions, fit_text_encoder
from tfchain.training.fit.matryoshka import note_matryoshka_dims
from tfchain.training.losses import CoSENT, EmbedDistill, InBatchSoftmax, Matryoshka, PairLoss, SpreadOut

INNER = InBatchSoftmax()


@pytest.mark.parametrize(
    ("losses", "teacher", "expected"),
    [
        ([Matryoshka(INNER, [16, 8, 4])], None, (4, 8)),
        ([Matryoshka(INNER, [8]), Matryoshka(CoSENT(), [2, 16])], None, (2, 8)),
        ([INNER, Matryoshka(INNER, [8])], None, (8,)),
        ([SpreadOut(Matryoshka(INNER, [8]))], None, (8,)),
        ([INNER], (4,), ()),
        ([EmbedDistill()], (4, 12), (4, 12)),
        ([EmbedDistill()], None, ()),
    ],
    ids=["one", "two", "mixed", "spread out", "none", "teacher", "no teacher"],
)
def test_the_lengths_are_those_of_the_losses(
    losses: list[PairLoss], teacher: tuple[int, ...] | None, expected: tuple[int, ...]
) -> None:
    model: Any = SimpleNamespace(matryoshka_dims=(), embedding_dim=16)
    guide: Any = None if teacher is None else SimpleNamespace(matryoshka_dims=teacher)
    note_matryoshka_dims(model, losses, guide)
    assert model.matryoshka_dims == expected


def test_lengths_that_a_training_does_not_keep_are_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    model: Any = SimpleNamespace(matryoshka_dims=(4, 6, 8), embedding_dim=16)
    with caplog.at_level(logging.WARNING):
        note_matryoshka_dims(model, [Matryoshka(INNER, [8])], None)
    assert model.matryoshka_dims == (8,)
    assert "did not train the vectors cut to 4, 6, as the model's before did" in caplog.text


def test_a_training_is_remembered_by_the_saved_model(
    make_text_encoder: MakeTextEncoder, eager: None, tmp_path: Path
) -> None:
    text_encoder = make_text_encoder()
    loss = {"name": "matryoshka", "loss": "in_batch_softmax", "dims": [8, 4, 2]}
    fit_text_encoder(text_encoder, ROWS, Hyperparameters(batch_size=4, warmup=0), FitOptions(loss=loss))
    assert text_encoder.matryoshka_dims == (2, 4)
    text_encoder.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["matryoshka_dimensions"] == [2, 4]
    assert TextEncoder.from_pretrained(tmp_path, engine="tensorflow").matryoshka_dims == (2, 4)
