"""A part of SciFact with MiniLM: the chain, REST and gRPC rank alike. `benchmarks/scifact.py` does it on all."""

import dataclasses
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tfchain.chains.search import NeuralSearchChain
from tfchain.data.documents.beir import read_beir

QUERIES, DOCUMENTS = 25, 80


@pytest.mark.usefixtures("forks")
def test_the_served_ranking_is_the_chains_over_both_protocols(
    shared_data: Path, minilm_path: Path, tmp_path: Path
) -> None:
    whole = read_beir(shared_data / "scifact")
    queries = dict(islice(whole.queries.items(), QUERIES))
    qrels = {query: whole.qrels[query] for query in queries}
    judged = {document for grades in qrels.values() for document in grades}
    documents = sorted(whole.documents(), key=lambda one: one.id not in judged)[:DOCUMENTS]  # the judged ones first
    dataset = dataclasses.replace(whole, queries=queries, qrels=qrels, corpus=documents)

    chain = NeuralSearchChain.from_pretrained(minilm_path, passages="truncate", engine="tensorflow")
    chain.add(documents)
    # Twenty-five queries among eighty documents are easier than among 5,183, where all engines get 0.645.
    assert chain.evaluate(dataset)["ndcg@10"] > 0.8
    expected = [result.hits for result in chain.search(list(queries.values()))]
    with chain.deploy(tmp_path) as deployment, deployment.client() as client:
        for protocol in ("rest", "grpc"):
            results = client.search(list(queries.values()), model="search", protocol=protocol)
            assert [[hit.id for hit in one.hits] for one in results] == [[hit.id for hit in one] for one in expected]
            np.testing.assert_allclose(
                [[hit.score for hit in one.hits] for one in results],
                [[hit.score for hit in one] for one in expected],
                atol=1e-5,
            )


def test_an_abstracts_last_sentence_finds_it_better_when_it_is_split(shared_data: Path, minilm_path: Path) -> None:
    long = max(islice(read_beir(shared_data / "scifact").documents(), 300), key=lambda one: len(one.text))
    scores = {}
    for passages in ("split", "truncate"):
        chain = NeuralSearchChain.from_pretrained(minilm_path, passages=passages, engine="tensorflow")
        chain.add([long])
        scores[passages] = chain.search(long.text[-200:]).hits[0].score
    assert scores["split"] > scores["truncate"]
