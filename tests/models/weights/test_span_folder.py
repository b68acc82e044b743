"""Folders of readers: what is said of those that are none."""

import json
import shutil
from pathlib import Path

import pytest

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.span_encoder import is_reader, load_span_encoder, make_span_encoder, save_span_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.span_folder import read_span_folder
from tfchain.models.weights.span_heads import SPAN_HEADS, find_span_head

FIXTURES = Path(__file__).parents[2] / "parity" / "reader_fixtures"


def copy_with(name: str, folder: Path, **changes: object) -> Path:
    shutil.copytree(FIXTURES / name, folder)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    return folder


def test_a_folder_gives_the_logits_of_as_many_tokens_as_fit() -> None:
    folder = read_span_folder(FIXTURES / "bert")
    assert folder.encoder.tokens is not None
    assert folder.encoder.tokens.num_vectors == 40
    assert folder.encoder.transformer.pairs == "typed"
    assert folder.encoder.embedding_dim == 80
    assert read_span_folder(FIXTURES / "roberta").encoder.transformer.pairs == "plain"
    short = load_span_encoder(FIXTURES / "bert", engine="tensorflow", max_length=20)
    assert (short.tokenizer.max_length, short.embedding_dim) == (20, 40)


def test_other_models_are_refused(tmp_path: Path, thin_model_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="must hold a model that finds answers .* Received: BertModel"):
        read_span_folder(copy_with("bert", tmp_path / "a", architectures=["BertModel"]))
    with pytest.raises(ModelFolderError, match="must have classifier_activation='gelu'. Received: 'relu'"):
        read_span_folder(copy_with("modernbert", tmp_path / "b", classifier_activation="relu"))
    with pytest.raises(ModelFolderError, match="must have norm_eps=1e-05"):
        read_span_folder(copy_with("modernbert", tmp_path / "c", norm_eps=1e-3))
    with pytest.raises(ModelFolderError, match="A reader must have one of the architectures .* Received: 'qwen3'"):
        find_span_head("qwen3")
    with pytest.raises(InputError, match="`max_length` must be a whole number of at least 12"):
        load_span_encoder(FIXTURES / "bert", max_length=3)
    assert len({head.class_name for head in SPAN_HEADS.values()}) == len(SPAN_HEADS)
    assert not is_reader(TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"))


def test_a_new_head_is_drawn_by_its_seed_and_saved(thin_model_path: Path, tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    made = [make_span_encoder(encoder, seed=seed) for seed in (0, 0, 1)]
    assert made[0].fingerprint == made[1].fingerprint != made[2].fingerprint
    assert made[0].embedding_dim == 48  # start and end of 24 tokens
    save_span_encoder(made[0], tmp_path)
    again = load_span_encoder(tmp_path, engine="tensorflow")
    assert again.encoder_fingerprint == made[0].encoder_fingerprint


@pytest.mark.parametrize(
    ("name", "key", "default"), [("distilbert", "qa_dropout", 0.1), ("modernbert", "classifier_dropout", 0.0)]
)
def test_the_dropout_of_a_head_is_that_of_transformers_and_is_kept(
    name: str, key: str, default: float, tmp_path: Path
) -> None:
    own = json.loads((FIXTURES / name / "config.json").read_text())
    assert read_span_folder(FIXTURES / name).encoder.dense[-1].dropout == own.get(key, default)
    reader = load_span_encoder(copy_with(name, tmp_path / "a", **{key: 0.3}), engine="tensorflow")
    (tmp_path / "b").mkdir()
    save_span_encoder(reader, tmp_path / "b")
    (tmp_path / "c").mkdir()
    reader.save(tmp_path / "c")
    for again in (load_span_encoder(tmp_path / "b", engine="tensorflow"), TextEncoder.from_pretrained(tmp_path / "c")):
        assert again.config == reader.config
        assert again.config.dense[-1].dropout == 0.3
        assert again.encoder_fingerprint == reader.encoder_fingerprint
