"""A model that translates: texts in and out, its folder, its fingerprint, and the graph that a server runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.models.seq2seq.conftest import FIXTURES
from tfchain.core.errors import InputError, ModelFolderError, TfchainError
from tfchain.core.model import Model
from tfchain.deployment.op_check import check_ops
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.folder import is_seq2seq_folder, read_config
from tfchain.models.seq2seq.graph import TranslationGraph
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer, make_blank_transformer
from tfchain.models.seq2seq.weights import to_tensors
from tfchain.models.weights.tensor_files import TensorFiles

Load = Callable[[str], tuple[Seq2SeqModel, dict[str, Any]]]
NAMES = ("marian", "m2m_100", "nllb", "t5", "mt5")


def test_texts_are_translated_in_their_order_whatever_their_batch(load_small: Load) -> None:
    model, content = load_small("marian")
    texts, expected = content["texts"][:4], content["decoded"]["beam"]
    assert model.translate(texts) == expected[:4]
    assert model.translate(texts, batch_size=1) == expected[:4]
    assert model.translate(texts[0]) == expected[0]
    assert model.translate([texts[1], "", " \n\u3000", texts[2]]) == [expected[1], "", " \n\u3000", expected[2]]


def test_several_targets_of_a_text_come_in_turn(load_small: Load) -> None:
    model, content = load_small("marian")
    expected = content["decoded"]["beam_short"]
    options = content["written"]["beam_short"]["options"]
    assert model.translate(content["texts"][:2], **options) == expected[:4]


def test_int8_on_a_processor_without_it_says_what_else_to_do(load_small: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfchain.models.engines.int8_product.has_int8_products", lambda: False)
    with pytest.raises(TfchainError, match=r"no int8 instructions .*, or keep the model in float32\.$"):
        load_small("marian")[0].with_precision("int8")


def test_languages_are_named_or_the_models_own(load_small: Load) -> None:
    model, content = load_small("m2m_100")
    expected = content["decoded"]["beam"][:1]
    assert model.languages == ("en", "zh")
    options = content["written"]["beam"]["options"]
    options = {name: value for name, value in options.items() if name != "forced_bos_token_id"}
    assert model.translate(content["texts"][:1], **options) == expected
    assert model.translate(content["texts"][:1], target_language="zh", source_language="en", **options) == expected
    unnamed = model.copy()
    unnamed.languages = (None, "zh")  # without its language, a source is translated badly
    with pytest.raises(InputError, match="`source_language` must be given: the model translates between several"):
        unnamed.translate("a")
    with pytest.raises(InputError, match="Received: 'zz'. It has af, am"):
        model.translate(["a"], target_language="zz")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_written_back_as_it_was(name: str, load_small: Load) -> None:
    model, _ = load_small(name)
    stored, written = TensorFiles(FIXTURES / name), to_tensors(model.transformer)
    for tensor in stored:
        if tensor in written:
            np.testing.assert_array_equal(written[tensor], stored[tensor])
    # transformers names a shared table once, and so does tfchain, though not always by the same name.
    sizes = [sum(array.size for array in arrays) for arrays in (written.values(), [stored[one] for one in stored])]
    assert sizes[0] == sizes[1]


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_transformers_reads_what_is_written(name: str, tmp_path: Path, load_small: Load) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch", reason="needs PyTorch (`make test-torch`)")
    model, content = load_small(name)
    model.save(tmp_path)
    read, report = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    original = transformers.AutoModelForSeq2SeqLM.from_pretrained(FIXTURES / name)
    given = {"input_ids": torch.tensor(content["sources"][:1]), "decoder_input_ids": torch.tensor([[0, 5, 6]])}
    with torch.no_grad():
        logits = [network.eval()(**given).logits.numpy() for network in (read, original)]
    np.testing.assert_array_equal(*logits)
    for option in ("num_beams", "max_length", "early_stopping", "forced_eos_token_id", "decoder_start_token_id"):
        assert getattr(read.generation_config, option) == getattr(original.generation_config, option)
    tokenizer, expected = (transformers.AutoTokenizer.from_pretrained(path) for path in (tmp_path, FIXTURES / name))
    assert tokenizer(content["texts"])["input_ids"] == expected(content["texts"])["input_ids"]


def test_a_saved_model_is_the_same_model(tmp_path: Path, load_small: Load) -> None:
    model, _ = load_small("mt5")
    prompted = Seq2SeqModel.from_pretrained(FIXTURES / "mt5", prompt="to Chinese: ")
    assert prompted.fingerprint != model.fingerprint
    prompted.save(tmp_path)
    again = Seq2SeqModel.from_pretrained(tmp_path)
    assert again.fingerprint == prompted.fingerprint
    assert again.encode_sources(["Snow."]) == model.encode_sources(["to Chinese: Snow."])
    assert again.options == model.options
    assert is_seq2seq_folder(tmp_path)


def test_new_weights_change_the_fingerprint_and_the_translation(load_small: Load) -> None:
    model, content = load_small("nllb")
    before, text = model.fingerprint, content["texts"][0]
    copied = model.copy()
    assert copied.fingerprint == before
    first = copied.translate(text, target_language="zho_Hans")
    copied.set_weights([weight * 0.5 for weight in copied.transformer.get_weights()])
    assert copied.fingerprint != before
    assert copied.translate(text, target_language="zho_Hans") != first
    assert model.fingerprint == before


def test_another_transformer_takes_the_place_of_a_models_own(load_small: Load) -> None:
    model, content = load_small("marian")
    other = make_blank_transformer(model.transformer.config)
    other.set_weights(model.keras_model.get_weights())
    made = model.with_keras_model(other)
    assert made.fingerprint == model.fingerprint
    assert made.describe_shape() == model.describe_shape()
    made.run_one(content["texts"][0])
    made.run(content["texts"][:2], batch_size=1)
    contract: Model = made
    assert contract.keras_model is other


def test_the_keras_model_survives_its_config(load_small: Load) -> None:
    transformer = load_small("t5")[0].transformer
    config = transformer.get_config()
    assert json.loads(json.dumps(config)) == config
    again = Seq2SeqTransformer.from_config(config)
    assert again.config == transformer.config
    assert [weight.path for weight in again.weights] == [weight.path for weight in transformer.weights]
    for layer in (*again.parts.decoder_layers, again.parts.tokens, again.parts.target_bias):
        same = type(layer).from_config(layer.get_config())
        assert same.get_config() == layer.get_config()


def test_a_served_graph_translates_as_python_does(tmp_path: Path, load_small: Load) -> None:
    model, content = load_small("nllb")
    options = model.options.replace(num_beams=2, max_length=8)
    graph = TranslationGraph(model, options=options)
    tf.saved_model.save(graph.module, str(tmp_path), signatures=graph.signatures)
    report = check_ops(tmp_path)  # no custom op, no Python
    assert report.oldest_server == "2.8"
    assert "While" in report.ops or "StatelessWhile" in report.ops
    served = tf.saved_model.load(str(tmp_path)).signatures
    nothing = served["translate"](text=tf.constant([], tf.string))
    assert {name: value.shape for name, value in nothing.items()} == {"translation": (0,), "score": (0,)}
    texts = [*content["texts"][:3], " \x0b"]
    found = served["translate"](text=tf.constant(texts))
    expected = model.translate(texts, num_beams=2, max_length=8)
    assert [text.decode() for text in found["translation"].numpy()] == expected
    assert found["score"].shape == (4,)
    between = served["translate_between"](
        text=tf.constant(texts[:1]),
        source_language=tf.constant(["deu_Latn"]),
        target_language=tf.constant(["eng_Latn"]),
    )
    expected = model.translate(
        texts[:1], source_language="deu_Latn", target_language="eng_Latn", num_beams=2, max_length=8
    )
    assert [text.decode() for text in between["translation"].numpy()] == expected
    with pytest.raises(tf.errors.InvalidArgumentError, match="A language must be one of the model"):
        served["translate_between"](
            text=tf.constant(["a"]), source_language=tf.constant(["xx"]), target_language=tf.constant(["eng_Latn"])
        )


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="it has no config.json"):
        Seq2SeqModel.from_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match="one of marian, m2m_100, t5, mt5. Received: model_type='bert'"):
        read_config({"model_type": "bert"}, set(), tmp_path)
    with pytest.raises(ModelFolderError, match="lacks 'vocab_size'"):
        read_config({"model_type": "marian"}, set(), tmp_path)
    assert not is_seq2seq_folder(tmp_path)


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "marian", tmp_path / "marian")
    path = tmp_path / "marian" / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "decoder_layers": 3}), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=r"Missing tensors: model.decoder.layers.2.encoder_attn.k_proj.bias"):
        Seq2SeqModel.from_pretrained(tmp_path / "marian")


def test_what_the_model_does_not_have_is_refused(load_small: Load) -> None:
    model, _ = load_small("marian")
    with pytest.raises(InputError, match="`engine` must be 'auto' or 'tensorflow'"):
        Seq2SeqModel.from_pretrained(FIXTURES / "marian", engine="litert")
    for length in (0, 5000):
        with pytest.raises(InputError, match="`max_source_length` must be"):
            Seq2SeqModel.from_pretrained(FIXTURES / "marian", max_source_length=length)
    with pytest.raises(InputError, match="`num_heads` must divide `hidden_dim`"):
        Seq2SeqConfig.from_dict({**model.transformer.config.to_dict(), "num_heads": 3})
    with pytest.raises(InputError, match="A Seq2SeqConfig has no width"):
        Seq2SeqConfig.from_dict({"width": 3})
    with pytest.raises(InputError, match=r"`dropout` must be in \[0, 1\)"):
        Seq2SeqConfig.from_dict({**model.transformer.config.to_dict(), "dropout": 1.0})
