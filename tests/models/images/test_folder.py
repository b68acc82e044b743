"""Folders of images and texts: what is read, written back, and refused by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tfchain.core.errors import ModelFolderError
from tfchain.models.images.folder import read_image_text_folder, to_config_json, to_preprocessor_json
from tfchain.models.images.sentencepiece_file import read_sentencepiece_file
from tfchain.models.images.tokenizer import load_image_text_tokenizer
from tfchain.models.images.weight_maps import write_towers

FIXTURES = Path(__file__).parents[2] / "parity" / "image_fixtures"


def copy(name: str, path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / name, path / name))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("name", ["clip", "siglip", "chinese_clip"])
def test_tensors_are_written_as_they_were_read(name: str) -> None:
    folder = read_image_text_folder(FIXTURES / name)
    written = write_towers(folder.config, folder.towers)
    kept = load_file(FIXTURES / name / "model.safetensors")
    assert set(written) == set(kept) - {"logit_scale", "logit_bias"}
    for tensor, array in written.items():
        if "embeddings.position_embeddings" in tensor or "token_type" in tensor:
            continue  # of BERT: the first type's vector is part of the positions
        np.testing.assert_array_equal(array, kept[tensor], err_msg=tensor)


def test_json_has_transformers_names() -> None:
    folder = read_image_text_folder(FIXTURES / "clip")
    values = to_config_json(folder.config)
    assert (values["model_type"], values["projection_dim"], values["text_config"]["hidden_act"]) == (
        "clip",
        12,
        "quick_gelu",
    )
    preprocessor = to_preprocessor_json(folder.config, folder.pictures)
    assert (preprocessor["size"], preprocessor["resample"]) == ({"shortest_edge": 16}, 3)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config.json", {"model_type": "siglip2"}, "flexible resolution \\(NaFlex"),
        (
            "config.json",
            {"model_type": "bert"},
            "Expected a model_type of clip, siglip, chinese_clip. Received: 'bert'",
        ),
        ("config.json", {"quantization_config": {"quant_method": "awq"}}, "quantized by awq"),
        ("config.json", {"vision_config": {"hidden_act": "swish"}}, "`hidden_act` must be one of"),
        ("config.json", {"projection_dim": 13}, "has the shape \\(16, 12\\); its config.json says \\(16, 13\\)"),
        ("preprocessor_config.json", {"resample": 0}, "must be a filter of PIL"),
        ("preprocessor_config.json", {"crop_size": 9}, "Pictures become \\(9, 9\\), and the model takes \\(16, 16\\)"),
        ("preprocessor_config.json", {"do_resize": False}, "Pictures must be resized"),
    ],
)
def test_what_a_folder_cannot_be_is_named(file: str, values: dict[str, Any], message: str, tmp_path: Path) -> None:
    from tfchain.models.images.image_text_model import ImageTextModel

    folder = copy("clip", tmp_path)
    change(folder / file, **values)
    with pytest.raises(ModelFolderError, match=message):
        ImageTextModel.from_pretrained(folder)


def test_missing_and_left_over_tensors_are_named(tmp_path: Path) -> None:
    folder = copy("clip", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "adapter.weight": np.zeros(1, "float32")}, folder / "model.safetensors")
    with pytest.raises(ModelFolderError, match="tensors that tfchain does not know: adapter.weight, 1 in all"):
        read_image_text_folder(folder)
    del tensors["vision_model.post_layernorm.bias"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelFolderError, match="lacks the tensor vision_model.post_layernorm.bias"):
        read_image_text_folder(folder)


def test_a_sentencepiece_file_is_read_by_its_fields(tmp_path: Path) -> None:
    from sentencepiece import SentencePieceProcessor

    file = FIXTURES / "siglip" / "spiece.model"
    found, expected = read_sentencepiece_file(file), SentencePieceProcessor(model_file=str(file))
    assert [piece for piece, _ in found.pieces] == [expected.id_to_piece(number) for number in range(len(expected))]
    np.testing.assert_allclose(
        [score for _, score in found.pieces], [expected.get_score(number) for number in range(len(expected))]
    )
    assert (found.unknown_id, found.algorithm, bool(found.charsmap)) == (expected.unk_id(), "unigram", True)
    for content in (b"\xff", b"\x0a\x05ab", file.read_bytes()[:-3]):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ModelFolderError, match="is no sentencepiece model"):
            read_sentencepiece_file(tmp_path / "bad")


def test_siglips_tokenizer_has_the_ids_of_transformers_own() -> None:
    from transformers import SiglipTokenizer

    own = load_image_text_tokenizer(FIXTURES / "siglip")
    slow = SiglipTokenizer(str(FIXTURES / "siglip" / "spiece.model"))
    texts = ["a cat", "  A  Cat!", "don't", "ＡＢ", "!", "", " ", "x\ny", "▁a", "你好", "a</s>b", "... 1,2"]
    assert [own(text)["input_ids"] for text in texts] == [slow(text)["input_ids"] for text in texts]
