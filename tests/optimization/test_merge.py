"""Merging models: every tensor, from folders and from memory, and what cannot be merged."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import BertTokenizer

from tests.tiny_model import save_tiny_model
from tfchain import merge_encoders
from tfchain.core.errors import InputError
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.merge_formulas import merge_ties

ROUTER = Path(__file__).parents[1] / "parity" / "fixtures" / "router"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("merge")
    for seed in range(3):
        save_tiny_model(root / f"{seed}", seed=seed, num_layers=1)
    save_tiny_model(root / "wide", seed=0, num_layers=1, hidden_dim=24)
    return [root / "0", root / "1", root / "2", root / "wide"]


def read_weights(folder: Path) -> list[np.ndarray]:
    return TextEncoder.from_pretrained(folder, engine="tensorflow").own_encoder.get_weights()


def test_every_tensor_of_folders_is_their_mean_and_the_result_is_a_folder_again(
    folders: list[Path], tmp_path: Path
) -> None:
    merged = merge_encoders(folders[:2], weights=[1, 3])
    for first, second, found in zip(
        read_weights(folders[0]), read_weights(folders[1]), merged.own_encoder.get_weights(), strict=True
    ):
        np.testing.assert_allclose(found, (first + 3 * second) / 4, atol=1e-6)
    merged.save(tmp_path)
    assert TextEncoder.from_pretrained(tmp_path).fingerprint == merged.fingerprint
    assert merged.with_precision("float32", engine="tensorflow").encode(["the cat"]).shape == (1, 16)


def test_ties_takes_the_changes_of_the_base_from_memory_too(folders: list[Path]) -> None:
    base, first, second = (TextEncoder.from_pretrained(folder, engine="tensorflow") for folder in folders[:3])
    before = first.encoder.get_weights()
    merged = merge_encoders([first, folders[2]], method="ties", base=base, density=0.4, weights=(1, 2))
    rows = zip(*(one.own_encoder.get_weights() for one in (base, first, second, merged)), strict=True)
    for origin, one, other, found in rows:
        np.testing.assert_array_equal(found, merge_ties(origin, [one, other], [1, 2], density=0.4, scale=1))
    for one, other in zip(before, first.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_slerp_at_its_ends_is_either_model(folders: list[Path]) -> None:
    merged = merge_encoders(folders[:2], method="slerp", weights=[0, 1])
    for expected, found in zip(read_weights(folders[1]), merged.own_encoder.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rates_of_dropout_do_not_differ_in_kind(folders: list[Path]) -> None:
    first = TextEncoder.from_pretrained(folders[0], engine="tensorflow")

    def add_dense(rate: float, out_dim: int = 4) -> TextEncoder:
        dense = DenseConfig(in_dim=16, out_dim=out_dim, dropout=rate)
        made = Encoder(dataclasses.replace(first.config, dense=(dense,)))  # type: ignore[type-var]
        kernel = np.ones((16, out_dim), "float32")
        made.set_weights([*first.own_encoder.get_weights(), kernel, np.zeros(out_dim, "float32")])
        return first.with_encoder(made)

    merged = merge_encoders([add_dense(0.1), add_dense(0.0)])
    np.testing.assert_allclose(merged.own_encoder.get_weights()[-2], 1)
    with pytest.raises(InputError, match="which differ in dense"):
        merge_encoders([add_dense(0.1), add_dense(0.1, out_dim=5)])


def test_models_of_several_shapes_or_tokenizers_are_an_error_that_names_what_differs(folders: list[Path]) -> None:
    with pytest.raises(InputError, match=r"`models\[0\]` and `models\[1\]`, which differ in .*hidden_dim: 16 and 24"):
        merge_encoders([folders[0], folders[3]])
    first = TextEncoder.from_pretrained(folders[0])
    ids = dict(first.tokenizer.source.get_vocab())
    ids["cat"], ids["dog"] = ids["dog"], ids["cat"]
    other = TextEncoder(BertTokenizer(vocab=ids, do_lower_case=True), first.own_encoder)
    with pytest.raises(InputError, match="2 tokens have other ids, 'cat', 'dog' among them. Merge models"):
        merge_encoders([first, folders[1]], method="ties", base=other)
    cased = TextEncoder(BertTokenizer(vocab=first.tokenizer.source.get_vocab(), do_lower_case=False), first.own_encoder)
    with pytest.raises(InputError, match=r"`models\[1\]`, in which the same texts get other ids."):
        merge_encoders([first, cased])


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        (["a"], {}, "method='linear' merges two models or more. Received: 1."),
        (["a", "b", "c"], {"method": "slerp"}, "method='slerp' merges exactly two models. Received: 3."),
        (["a", "b"], {"method": "mean"}, "`method` must be one of linear, slerp, ties. Received: method='mean'."),
        ("a", {}, "`models` must be a list of text encoders or folders. Received: str."),
        (["a", 7], {}, "Received: int at position 1. Of a chain, give `chain.text_encoder`."),
        (["a", "b"], {"weights": [1]}, "`weights` must be 2 numbers of at least 0"),
        (["a", "b"], {"weights": [1, -1]}, "`weights` must be 2 numbers of at least 0"),
        (["a", "b"], {"weights": [0, 0]}, "one for each model and not all 0. Received: weights=.0, 0."),
        (["a", "b"], {"weights": [1, float("nan")]}, "`weights` must be 2 numbers"),
        (["a", "b"], {"weights": "11"}, "`weights` must be 2 numbers"),
        (["a", "b"], {"base": "c"}, "is for method='ties', which needs it. Received: method='linear', base='c'."),
        (["a", "b"], {"method": "ties"}, "is for method='ties', which needs it. Received: method='ties', base=None."),
        (
            ["a", "b"],
            {"method": "ties", "base": "c", "density": 0},
            "`density` must be above 0 and at most 1.",
        ),
        (
            ["a", "b"],
            {"method": "ties", "base": "c", "scale": "2"},
            "`scale` must be a finite number above 0.",
        ),
    ],
)
def test_arguments_that_do_not_suit_are_errors_before_anything_is_read(
    models: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        merge_encoders(models, **options)


def test_routers_are_refused_and_their_sides_can_be_merged(folders: list[Path]) -> None:
    one = TextEncoder.from_pretrained(ROUTER, engine="tensorflow")
    with pytest.raises(InputError, match=r"`models\[1\]` must have one encoder. Received: one whose queries have an"):
        merge_encoders([folders[0], ROUTER])
    with pytest.raises(InputError, match=r"`base` must have one encoder. Received: one whose queries .* \(a Router\)"):
        merge_encoders(folders[:2], method="ties", base=one)
    one.query_route = None
    merged = merge_encoders([one, one])
    np.testing.assert_allclose(merged.encode("a fox"), one.encode("a fox"), atol=1e-5)
