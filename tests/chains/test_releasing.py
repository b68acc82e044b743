import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.deployment.releases.versions import make_version
from tfchain import NeuralSearchChain
from tfchain.chains.releasing import make_judge, release_version
from tfchain.core.errors import InputError
from tfchain.deployment.release_state import read_state
from tfchain.deployment.releases.limits import ReleaseLimits
from tfchain.deployment.repository import DESCRIPTION


def test_the_judge_is_that_of_the_versions_task(tmp_path: Path) -> None:
    path = make_version(tmp_path / "docs", 1)
    (path / DESCRIPTION).parent.mkdir(exist_ok=True)
    with pytest.raises(InputError, match="A version must name its task, one of search, classification, reranking"):
        make_judge(path, [])
    (path / DESCRIPTION).write_text('{"task": "search"}')
    with pytest.raises(InputError, match="An evaluation needs a BEIR folder"):
        make_judge(path, [])
    assert callable(make_judge(path, {"queries": {"q": "cats"}, "qrels": {"q": {"a": 1}}}))
    with pytest.raises(InputError, match="A metric must be one of"):
        make_judge(path, {"queries": {"q": "cats"}, "qrels": {"q": {"a": 1}}}, metric="accuracy")
    (path / DESCRIPTION).write_text('{"task": "classification", "multi_label": true}')
    rows = [{"text": "a", "label": ["x", "y"]}, {"text": "b", "label": []}]
    assert callable(make_judge(path, rows, metric="macro_f1"))
    lists = [{"query": "cats", "documents": ["a", "b"], "labels": [1, 0]}]
    for task in ("reranking", "late_interaction"):
        (path / DESCRIPTION).write_text(json.dumps({"task": task}))
        assert callable(make_judge(path, lists))


WORDS = itertools.product(("cat", "dog", "stock"), ("sleeps", "runs", "fell", "does"))
QUERIES = {f"q{row}": f"the {first} {second}" for row, (first, second) in enumerate(WORDS)}
DOCUMENTS = [{"id": query.replace("q", "d"), "text": text} for query, text in QUERIES.items()]
JUDGED = {"queries": QUERIES, "qrels": {query: {query.replace("q", "d"): 1} for query in QUERIES}}


def test_a_chain_is_released_tried_out_as_a_canary_and_promoted(
    thin_model_path: Path, tmp_path: Path, forks: None
) -> None:
    base_path = tmp_path / "docs"
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow").add(DOCUMENTS)
    with pytest.raises(InputError, match="`canary` needs a version that is live beside it. Received: canary=10 for"):
        chain.deploy(base_path, canary=10)
    first = chain.export(base_path)
    shutil.copytree(first, base_path / "2")
    report = release_version(base_path / "2", JUDGED, limits=ReleaseLimits(margin=0.5, min_overlap=1))
    assert report.passed, report.refusals
    assert report.comparison is not None
    assert (report.comparison.num_items, report.comparison.num_changed) == (12, 0)
    assert report.comparison.live == pytest.approx(
        chain.evaluate(JUDGED | {"documents": DOCUMENTS})["ndcg@10"], abs=0.05
    )
    answers = next(check for check in report.checks if check.name == "answers")
    assert answers.values["overlap_at_10"] == 1.0

    with chain.deploy(base_path, canary=40) as server, server.client() as client:
        assert (read_state(base_path).live, read_state(base_path).canary) == (2, 3)
        asked = (client.metadata("search", protocol="rest")["model_spec"]["version"] for _ in range(10))
        assert Counter(asked) == {"2": 6, "3": 4}  # from the first request on
        server.promote()
        assert read_state(base_path).live == 3
