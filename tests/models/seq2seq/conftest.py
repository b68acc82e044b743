"""The small models that translate, as PyTorch saved them, each read once, with what transformers writes for texts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel

FIXTURES = Path(__file__).resolve().parents[2] / "parity" / "translation_fixtures"


@pytest.fixture(scope="session")
def load_small() -> Callable[[str], tuple[Seq2SeqModel, dict[str, Any]]]:
    """From a family's name to its small model and the fixture's content."""
    loaded: dict[str, tuple[Seq2SeqModel, dict[str, Any]]] = {}

    def load(name: str) -> tuple[Seq2SeqModel, dict[str, Any]]:
        if name not in loaded:
            content = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
            loaded[name] = (Seq2SeqModel.from_pretrained(FIXTURES / name), content)
        return loaded[name]

    return load
