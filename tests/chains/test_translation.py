"""The life of a chain that translates: from nothing through training to a served version."""

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_translation import PAIRS, make_tiny_chain, train_tiny_chain
from tfchain.chains.translation import TranslationChain
from tfchain.core.errors import InputError
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.optimization.recipes import Prune, Quantize
from tfchain.tasks.translation.parallel_rows import ParallelRows

SOURCES = [source for source, _ in PAIRS]
TARGETS = [target for _, target in PAIRS]


@pytest.fixture(scope="module")
def trained() -> TranslationChain:
    """Tests do not change it."""
    return train_tiny_chain()


def test_a_model_from_nothing_learns_to_translate(trained: TranslationChain) -> None:
    assert trained.translate(SOURCES, num_beams=1) == TARGETS
    assert trained.translate(SOURCES[0]) == TARGETS[0]
    assert trained.translate([]) == []
    assert trained.translate(SOURCES[0], target_language="zh", seed=1 << 40) == TARGETS[0]
    assert repr(trained) == "<TranslationChain: en to zh>"
    assert trained.state == tuple(SOURCES)
    assert isinstance(trained.model, Seq2SeqModel)
    assert trained.evaluate(PAIRS, metrics=["chrf"]) == {"chrf": pytest.approx(100)} == trained.report


def test_white_space_stays_and_sentences_are_translated_apart(trained: TranslationChain) -> None:
    text = "  The cat sleeps.\n\n\tThe man eats.  The dog runs. \n"
    assert trained.translate(text, num_beams=1) == "  猫在睡觉。\n\n\t男人在吃饭。  狗在跑步。 \n"
    assert trained.translate([" \n", ""]) == [" \n", ""]
    # As a whole, and cut off at the model's 24 tokens, it is not what the sentences are.
    assert trained.translate(text, sentences="whole", num_beams=1) != trained.translate(text, num_beams=1)


def test_a_glossary_is_honoured_whatever_the_model_would_write(trained: TranslationChain) -> None:
    texts = ["The cat sleeps. The dog runs.", "The man eats."]
    glossary = {"cat": "男人", "dog": "狗", "eats": "睡觉"}
    first, second = trained.translate(texts, glossary=glossary, num_beams=2)
    assert "男人" in first
    assert "狗在跑步。" in first  # that the model writes by itself
    assert "睡觉" in second
    assert trained.translate(texts, glossary={"horse": "马"}) == trained.translate(texts)
    with pytest.raises(InputError, match="cannot write '马' of the glossary: its tokens read"):
        trained.translate("The cat sleeps.", glossary={"cat": "马"})
    with pytest.raises(InputError, match="must fit into a translation of 23 tokens. Received: phrases of 4. tokens"):
        trained.translate("The cat sleeps.", glossary={"cat": "猫" * 40})
    # A term with the end of a sentence in it is not cut.
    assert "睡觉" in trained.translate("The man. The cat sleeps.", glossary={"man. The": "睡觉"}, num_beams=2)
    with pytest.raises(InputError, match="`glossary` must be a dict"):
        trained.translate("The cat sleeps.", glossary=["cat"])


def test_a_glossary_that_cannot_be_written_is_refused_before_anything_is_translated(
    trained: TranslationChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfchain.tasks.translation.translating.translate_texts", None)
    with pytest.raises(InputError, match="cannot write '马' of the glossary"):
        trained.translate(["The dog runs."] * 2, glossary={"dog": "马"})


def test_a_chain_is_saved_and_loaded(trained: TranslationChain, tmp_path: Path) -> None:
    loaded = TranslationChain.load(trained.save(tmp_path / "chain"))
    assert loaded.task == trained.task
    assert loaded.state == trained.state
    assert loaded.hyperparameters == trained.hyperparameters
    assert loaded.model.fingerprint == trained.model.fingerprint
    assert loaded.translate(SOURCES, num_beams=1) == TARGETS
    folder = trained.save_pretrained(tmp_path / "marian")
    assert TranslationChain.from_pretrained(folder).translate(SOURCES[0]) == TARGETS[0]


def test_a_teachers_translations_and_back_translations_are_rows_to_train_on(trained: TranslationChain) -> None:
    rows = trained.write_targets([*SOURCES[:2], " "])
    assert rows == ParallelRows(SOURCES[:2], [(target,) for target in TARGETS[:2]])
    assert trained.write_targets(SOURCES[0]) == ParallelRows(SOURCES[:1], [(TARGETS[0],)])
    # For a chain from Chinese to English, these English texts are the targets.
    assert trained.write_sources(SOURCES[:2]) == ParallelRows(TARGETS[:2], [(source,) for source in SOURCES[:2]])


@pytest.mark.usefixtures("eager")
def test_a_chain_is_tuned() -> None:
    chain = make_tiny_chain(epochs=1, generation={"num_beams": 1, "max_length": 4})
    before = chain.model.fingerprint
    report = chain.tune(PAIRS, {"learning_rate": [1e-12, 0.01]}, tuner="grid", validation=PAIRS[:2], refit=True)
    assert [trial.status for trial in report.trials] == ["completed"] * 2
    assert report.objective == "chrf"
    assert chain.model.fingerprint != before
    with pytest.raises(InputError, match="must name hyperparameters. Received: 'loss.scale'"):
        chain.tune(PAIRS, {"loss.scale": [1.0]}, validation=PAIRS[:2])


@pytest.mark.usefixtures("eager")
def test_a_chain_is_compressed_by_what_applies(trained: TranslationChain) -> None:
    chain = TranslationChain(trained.model.copy(), epochs=1, batch_size=9, learning_rate=1e-6)
    chain.fit(PAIRS, recipes=[Prune(0.5)])
    kernels = [weight for weight in chain.model.transformer.weights if weight.path.endswith("intermediate/kernel")]
    assert [(np.array(kernel) == 0).mean() for kernel in kernels] == pytest.approx([0.5, 0.5], abs=0.01)
    with pytest.raises(InputError, match="`precision` must be"):
        chain.compress([Quantize("float16")])


@pytest.mark.usefixtures("eager", "int8_products")
def test_a_chain_in_int8_translates_alike_and_is_trained_in_float32(
    trained: TranslationChain, caplog: pytest.LogCaptureFixture
) -> None:
    chain = TranslationChain(trained.model, epochs=1, batch_size=9, learning_rate=1e-6)
    chain.compress([Quantize("int8")])
    assert chain.model.precision == "int8"
    assert chain.translate(SOURCES, num_beams=1) == TARGETS
    assert "狗" in chain.translate("The cat sleeps.", glossary={"cat": "狗"})
    before = trained.model.fingerprint
    chain.fit(PAIRS)
    assert chain.model.precision == "float32"
    assert "it was in int8. Compress it again" in caplog.text
    assert trained.model.fingerprint == before


def test_a_version_answers_as_python_does_over_rest_and_grpc(
    trained: TranslationChain, tmp_path: Path, forks: None
) -> None:
    texts = [*SOURCES, "", " \u3000\n", "The cat runs and runs."]
    expected = trained.translate(texts, sentences="whole")
    with trained.deploy(tmp_path / "translation") as deployment, deployment.client() as client:
        for protocol in ("rest", "grpc"):
            assert client.translate(texts, model="translation", protocol=protocol) == expected
        assert client.translate(SOURCES[0], model="translation") == TARGETS[0]
        assert client.translate([], model="translation") == []
        signatures = client.metadata("translation")["metadata"]["signature_def"]["signature_def"]
        assert set(signatures) - {"__saved_model_init_op"} == {"translate", "serving_default", "generate"}
    (version,) = (tmp_path / "translation").glob("[0-9]*")
    assert b'"task": "translation"' in (version / "assets.extra" / "tfchain.json").read_bytes()


def test_what_cannot_be_is_said(trained: TranslationChain, tmp_path: Path) -> None:
    for call, message in (
        (lambda: TranslationChain(3), "`model` must be a Seq2SeqModel, a folder or a hub name. Received: int"),
        (lambda: TranslationChain(trained.model, label_smoothing=2), "`label_smoothing` must be in"),
        (lambda: TranslationChain(trained.model, generation={"beams": 2}), "no option beams of generation"),
        (lambda: TranslationChain(trained.model, engine="native", model=3), "multiple values"),
        (lambda: trained.translate([3]), "Each text must be a string. Received: 3"),
        (lambda: trained.translate("a", num_beams=0), "`num_beams` must be a whole number"),
        (lambda: trained.translate("a", sentences="one"), "`sentences` must be 'split' or 'whole'"),
        (lambda: trained.translate("a", num_return_sequences=2), "one translation for each text"),
        (lambda: trained.translate("a", max_length=25), "`max_length` must be at most 24, the model's positions"),
        (lambda: trained.translate("a", seed="one"), "`seed` must be a whole number"),
        (lambda: trained.translate("a", target_language="fr"), "no other can be named. Received: target_language='fr'"),
        (lambda: trained.export(tmp_path, source_language="de"), "Received: source_language='de', where the chain"),
        (lambda: trained.export(tmp_path, generation="beams"), "`generation` must be a dict of options"),
        (lambda: trained.evaluate(PAIRS, metrics=["ter"]), "must be a list of chrf, bleu"),
        (lambda: trained.evaluate([]), "at least one row"),
        (lambda: trained.fit([("a", "")]), r"dataset\[0\]: `target` must be a text"),
        (lambda: trained.export(tmp_path, generation={"do_sample": True}), "A version answers alike each time"),
    ):
        with pytest.raises((InputError, TypeError), match=message):
            call()
    assert not list(tmp_path.iterdir())
