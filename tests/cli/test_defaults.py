"""What a command does unless it is told otherwise; no index is loaded."""

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tfchain import NeuralSearchChain, TextClassificationChain
from tfchain.cli.folders import describe_index


def test_an_evaluation_is_of_the_split_test(run: Run, tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "x"}\n')
    (tmp_path / "qrels" / "dev.tsv").write_text("q\ta\t1\n")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "chain.json").write_text('{"format": 1}')
    check_error(run("evaluate", tmp_path / "index", tmp_path), "test.tsv")


def test_an_export_answers_texts_with_as_much_as_its_chain_says(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def export(out: Path | None, **options: Any) -> str:
        given.append((out, options))
        return "saved_models/search/1"

    monkeypatch.setattr("tfchain.cli.loading.load_chain", lambda *_, **__: SimpleNamespace(export=export))
    assert run("export", tmp_path).stdout == "saved_models/search/1\n"
    assert given == [(None, {"signatures": "text", "name": None, "reference": None})]
    kinds = (NeuralSearchChain, TextClassificationChain)
    assert [inspect.signature(kind.export).parameters["top_k"].default for kind in kinds] == [10, 5]  # as the help says


@pytest.mark.parametrize(("own", "expected"), [(12, 12), (None, 24)])
def test_the_length_of_an_index_is_that_of_its_folder_or_else_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: int | None, expected: int
) -> None:
    (tmp_path / "config.json").touch()
    vectors = SimpleNamespace(counts=SimpleNamespace(sum=lambda: 3), dim=16, similarity="cosine")
    loaded = SimpleNamespace(
        index=type("Index", (), {"vectors": vectors, "fingerprint": "f", "__len__": lambda _: 2})(),
        folder=SimpleNamespace(commit="c"),
        model_path=tmp_path,
        settings={},
    )
    transformer = SimpleNamespace(architecture="bert", num_layers=2, max_length=24)
    folder = SimpleNamespace(encoder=SimpleNamespace(transformer=transformer), max_length=own, prompts={})
    monkeypatch.setattr("tfchain.tasks.search.index_folder.load_index_folder", lambda _: loaded)
    monkeypatch.setattr("tfchain.models.weights.folder.read_folder", lambda _: folder)
    values = describe_index(tmp_path)
    assert (values["max_length"], values["documents"], values["passages"], values["layers"]) == (expected, 2, 3, 2)
