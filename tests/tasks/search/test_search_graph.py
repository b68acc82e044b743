"""The exported version: what it answers, and that plain TensorFlow loads it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2
from tokenizers import pre_tokenizers

from tfchain import QuantizeVectors, ReduceDimensions
from tfchain.chains.search import NeuralSearchChain
from tfchain.core.errors import ExportError
from tfchain.core.titles import TITLES_FOLDER, TitleFiles
from tfchain.deployment.op_check import core_ops
from tfchain.models.indexes.binary_codebook import BinaryCodebook
from tfchain.models.indexes.exact import VectorIndex
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.search_lookup import has_clear_signs
from tfchain.tasks.ties import find_ties

PARITY = Path(__file__).parents[2] / "parity" / "fixtures"
# Answers as JSON, from a process that has tensorflow and tensorflow_text and never sees tfchain.
READER = """
import json, sys
import numpy as np, tensorflow as tf, tensorflow_text
path, texts = sys.argv[1], json.loads(sys.argv[2])
loaded = tf.saved_model.load(path)
eager = {key: value.numpy() for key, value in loaded.signatures["serving_default"](tf.constant(texts)).items()}
vectors = loaded.signatures["embed"](tf.constant(texts))["embedding"].numpy()
with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
    meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], path)
    signature = meta.signature_def["serving_default"]
    names = sorted(signature.outputs)
    values = session.run([signature.outputs[name].name for name in names], {signature.inputs["text"].name: texts})
v1 = dict(zip(names, values))
def plain(values):
    return {key: np.vectorize(lambda one: one.decode() if isinstance(one, bytes) else float(one))(value).tolist()
            for key, value in values.items()}
print(json.dumps({"eager": plain(eager), "v1": plain(v1), "vectors": vectors.tolist(),
                  "tfchain": any(name.split(".")[0] == "tfchain" for name in sys.modules)}))
"""


@pytest.fixture(scope="module")
def chain(thin_model_path: Path) -> NeuralSearchChain:
    made = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    made.add(
        [
            {"id": "long", "title": "Cats", "text": "the cat sleeps. " * 20 + "stocks fell on monday."},
            {"id": "你", "text": "你好，我是一个智能助手"},
            {"id": "title", "title": "a dog runs", "text": ""},
            "who does what",
        ]
    )
    return made


@pytest.fixture(scope="module")
def version(chain: NeuralSearchChain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain.export(tmp_path_factory.mktemp("versions") / "search", top_k=3)


def test_a_plain_tensorflow_program_loads_it_both_ways_and_gets_the_chains_answers(
    chain: NeuralSearchChain, version: Path
) -> None:
    texts = ["stocks fell on monday", "你好", "a dog"]
    done = subprocess.run(
        [sys.executable, "-c", READER, str(version), json.dumps(texts)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=version,
    )
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers["tfchain"] is False
    expected = [result.hits for result in chain.search(texts, top_k=3)]
    for one in (answers["eager"], answers["v1"]):
        assert one["ids"] == [[hit.id for hit in hits] for hits in expected]
        assert one["texts"] == [[hit.text or hit.title for hit in hits] for hits in expected]
        np.testing.assert_allclose(one["scores"], [[hit.score for hit in hits] for hits in expected], atol=1e-6)
    np.testing.assert_allclose(answers["vectors"], chain.encode(texts), atol=1e-6)


def test_the_version_needs_no_op_outside_the_stock_server_and_says_what_it_needs(version: Path) -> None:
    described = json.loads((version / "assets.extra" / "tfchain.json").read_text())
    assert described["signatures"] == ["embed", "embed_ids", "search", "serving_default", "tokenize"]
    assert {op for op in described["ops"] if op not in core_ops()} == {"FastWordpieceTokenizeWithOffsets"}
    assert described["oldest_server"] == "2.8"
    assert b"_XlaMustCompile" not in (version / "saved_model.pb").read_bytes()


def test_its_signatures_share_one_graph_of_the_encoder(version: Path) -> None:
    (graph,) = [
        meta.graph_def
        for meta in saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs
    ]
    holders = [
        function.signature.name
        for function in graph.library.function
        if any(node.op == "MatMul" and "layer_0" in node.name for node in function.node_def)
    ]
    assert len(holders) == 1


def signatures(path: Path) -> set[str]:
    return set(json.loads((path / "assets.extra" / "tfchain.json").read_text())["signatures"])


def test_a_chain_without_documents_exports_embed_tokenize_and_embed_ids(thin_model_path: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    assert signatures(chain.export(tmp_path / "v")) == {"embed", "embed_ids", "tokenize"}


def test_a_version_describes_its_text_model(version: Path, chain: NeuralSearchChain) -> None:
    described = json.loads((version / "assets.extra" / "tfchain.json").read_text())
    tokenizer = chain.text_encoder.tokenizer
    assert described["text_model"] == {
        "embedding_dim": chain.text_encoder.embedding_dim,
        "max_tokens": tokenizer.max_length,
        "vocabulary_size": len(tokenizer.tokenizer),
        "empty_text": [tokenizer.tokenizer.cls_token_id, tokenizer.tokenizer.sep_token_id],
        "special_ids": sorted(tokenizer.tokenizer.all_special_ids),
        "unknown_id": tokenizer.tokenizer.unk_token_id,
        "precision": "float32",
        "similarity": "cosine",
        "pooling": ["mean"],
        "matryoshka_dims": [],
    }
    assert described["has_metadata"] is False
    assert TitleFiles(version).find(["title", "你", "long"]) == ["a dog runs", "", "Cats"]
    assert described["top_k"] == 3
    tokens = json.loads((version / "assets.extra" / "vocabulary.json").read_text(encoding="utf-8"))
    assert len(tokens) == len(tokenizer.tokenizer)
    assert [tokens[token] for token in tokenizer(["the cat"])[0]] == ["[CLS]", "the", "cat", "[SEP]"]


def test_prompts_for_queries_and_documents_have_signatures_of_their_own(thin_model_path: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    chain.text_encoder.prompts.update(query="who ", document="the ")
    path = chain.export(tmp_path / "v")  # each is compared with Python's vectors before the version appears
    assert signatures(path) == {
        *("embed", "embed_query", "embed_document", "embed_ids"),
        *("tokenize", "tokenize_query", "tokenize_document"),
    }


def test_signatures_of_ids_hold_no_op_of_tf_text(chain: NeuralSearchChain, tmp_path: Path) -> None:
    path = chain.export(tmp_path / "v", signatures="ids")
    assert signatures(path) == {"embed_ids"}
    assert set(json.loads((path / "assets.extra" / "tfchain.json").read_text())["ops"]) <= core_ops()


@pytest.mark.parametrize(
    ("name", "decoder", "more_ops"),
    [("roberta", "ByteLevel", set()), ("xlm_roberta", "Metaspace", {"SentencepieceTokenizeWithOffsetsOp"})],
)
def test_tokenizers_of_pieces_are_in_the_graph_and_old_servers_have_their_ops(
    name: str, decoder: str, more_ops: set[str], tmp_path: Path
) -> None:
    chain = NeuralSearchChain.from_pretrained(PARITY / name, engine="tensorflow")
    chain.add(["a text", "the café <mask> 你好 \uff1cunk\uff1e\U00013000"])
    path = chain.export(tmp_path / "v")  # its answers and token ids were compared with Python's before it appeared
    described = json.loads((path / "assets.extra" / "tfchain.json").read_text())
    assert {"search", "embed", "tokenize"} <= set(described["signatures"])
    text_ops = {op for op in described["ops"] if op not in core_ops()}
    assert text_ops == {"SentencepieceOp", "SentencepieceTokenizeOp", *more_ops}
    assert described["oldest_server"] == "2.8"
    assert described["text_model"]["decoder"]["type"] == decoder


def test_a_tokenizer_without_a_graph_exports_embed_ids_alone_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = NeuralSearchChain.from_pretrained(PARITY / "roberta", engine="tensorflow")
    chain.text_encoder.tokenizer.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.UnicodeScripts()
    chain.add(["a text"])
    assert signatures(chain.export(tmp_path / "v")) == {"embed_ids"}
    assert "so the version answers token ids only" in caplog.text
    assert "pre-tokenizer cannot be put into a graph" in caplog.text


@pytest.mark.parametrize("name", ["mpnet", "bert_prompt_excluded", "distilbert", "bert_concatenated"])
def test_prompts_poolings_and_heads_are_in_the_graph(name: str, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(PARITY / name, engine="tensorflow")
    chain.add(["the first text", "another one, longer than the first"])
    assert chain.export(tmp_path / "v").name == "1"  # its answers were compared with the chain's before it appeared


def test_dot_product_takes_lengths_into_account_in_the_graph_too(thin_model_path: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, similarity="dot", engine="tensorflow")
    chain.add(["the cat", "stocks fell on monday " * 20])
    path = chain.export(tmp_path / "v")
    assert path.name == "1"
    assert not (path / TITLES_FOLDER).exists()  # no document has a title


@pytest.fixture
def bits_chain(thin_model_path: Path) -> NeuralSearchChain:
    """Searches by bits alone; the vectors' fourth number is always 0, so that rounding decides its sign."""
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    chain.add(["the cat sleeps", "stocks fell on monday", "who does what", "a dog"])
    chain.compress([ReduceDimensions(8), QuantizeVectors("binary", rescore_multiplier=None, codes="signs")])
    kernel = chain.model.get_layer("dense_0").kernel
    kernel.assign(np.array(kernel) * (np.arange(8) != 3))
    return chain.reindex()


def add_noise(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    """Queries that Python encodes get something added to the fourth number."""
    encode = TextEncoder.encode_query
    noise = np.where(np.arange(8) == 3, size, 0).astype("float32")
    monkeypatch.setattr(TextEncoder, "encode_query", lambda *values, **options: encode(*values, **options) + noise)


def test_a_sign_that_rounding_decides_is_no_wrong_answer(
    bits_chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_noise(monkeypatch, 1e-7)
    assert bits_chain.export(tmp_path / "v", top_k=2).name == "1"


def test_bits_of_other_vectors_are_a_wrong_answer(
    bits_chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_noise(monkeypatch, 1e-3)
    with pytest.raises(ExportError, match="'serving_default' gave for '(scores|ids|texts)'"):
        bits_chain.export(tmp_path / "v", top_k=2)


def test_signs_are_clear_where_no_number_is_zero_but_for_rounding() -> None:
    index = VectorIndex(2, "cosine", VectorStorage("binary", codes="signs"))
    queries = np.array([[1, 0.1], [1, 1e-6], [-1, 0], [1, -1e-6]], "float32")
    assert has_clear_signs(index, queries).tolist() == [True, False, True, False]
    assert has_clear_signs(index, queries[[1, 3]]).tolist() == [True, True]  # better such than none
    learned = VectorIndex(
        2, "cosine", VectorStorage("binary"), BinaryCodebook(np.zeros(2), np.array([[1, 1], [1, -1]]))
    )
    assert has_clear_signs(learned, np.array([[1, 1 + 1e-6], [1, 2]], "float32")).tolist() == [False, True]


def test_ties_are_hits_whose_neighbour_is_as_good_but_for_rounding() -> None:
    scores = np.array([[0.9, 0.5, 0.500001, 0.1], [0.3, 0.2, 0.1, 0.1]], "float32")
    assert find_ties(scores).tolist() == [[False, True, True, False], [False, False, True, True]]
