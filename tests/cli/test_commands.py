"""`tfchain search`, `evaluate`, `export` and `info`: what they print, for people and for programs."""

import json
import math
import shutil
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.conftest import Run
from tfchain import __version__
from tfchain.deployment.deployed_ports import DeployedPorts
from tfchain.models.native_library import find_obstacle


def read_json(run: Run, *arguments: object) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def test_search_prints_a_table_with_rank_score_id_and_text(run: Run, saved_index: Path) -> None:
    result = run("search", saved_index, "the cat sleeps", "on monday stocks fell", "--top-k", 2)

    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["the", "cat", "sleeps"]
    assert lines[2] == ["1", "1.0000", "cat", "the", "cat", "sleeps"]
    assert len(lines) == 9  # two questions with two answers each, a blank line between them
    assert lines[7] == ["1", "1.0000", "stock", "on", "monday", "—", "stocks", "fell"]


def test_search_shows_only_what_a_filter_lets_through(run: Run, saved_index: Path) -> None:
    for condition, expected in (('{"year": {"$exists": false}}', 1), ('{"year": 2020}', 0)):
        values = read_json(run, "search", saved_index, "on monday stocks fell", "-k", 1, "--filter", condition)
        assert len(values["results"][0]["hits"]) == expected
    result = run("search", saved_index, "the cat sleeps", "--filter", '{"year": 2020}')
    assert result.exit_code == 0
    assert "the cat sleeps" in result.stdout


def test_search_gives_the_hits_as_json(run: Run, saved_index: Path) -> None:
    values = read_json(run, "search", saved_index, "on monday stocks fell", "-k", 1)

    (result,) = values["results"]
    assert result["query"] == "on monday stocks fell"
    (hit,) = result["hits"]
    assert hit.pop("score") == pytest.approx(1.0, abs=1e-5)
    assert hit == {"id": "stock", "title": "on monday", "text": "stocks fell", "metadata": {"source": "paper"}}


def test_what_stands_in_brackets_and_what_steers_a_terminal_is_shown_as_plain_text(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a [bold]cat[/bold] \x1b[2J sleeps [SEP]")
    run("index", tmp_path / "a.txt", "--model", tiny_model_path, "--out", tmp_path / "index")

    shown = run("search", tmp_path / "index", "[/bold] cat").stdout

    assert "a [bold]cat[/bold] [2J sleeps [SEP]" in shown
    assert "\x1b" not in shown


@pytest.fixture
def beir_path(tmp_path: Path) -> Path:
    """A data set whose one query is the second document's text, while both documents are judged relevant."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "a", "text": "who runs"}\n{"_id": "b", "text": "stocks fell"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "stocks fell"}\n')
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\nq\tb\t2\n")
    return folder


def test_evaluate_reports_metrics(run: Run, saved_index: Path, beir_path: Path) -> None:
    names = ("precision@1", "recall@1", "ndcg@1", "ndcg@10", "mrr@10")
    options = [word for name in names for word in ("--metric", name)]
    values = read_json(run, "evaluate", saved_index, beir_path, "--split", "dev", *options)

    # The text itself, of grade 2, comes first: both orders of gain agree that nothing is better.
    assert values["metrics"] == pytest.approx(
        {"precision@1": 1.0, "recall@1": 0.5, "ndcg@1": 1.0, "ndcg@10": 1.0, "mrr@10": 1.0}
    )
    assert (values["split"], values["queries"], values["passages"], values["max_length"]) == ("dev", 1, "split", 24)
    assert not math.isnan(values["metrics"]["mrr@10"])
    shown = run("evaluate", saved_index, beir_path, "--split", "dev").stdout
    assert ["ndcg@10", "1.0000"] in [line.split() for line in shown.splitlines()]


def test_export_prints_the_folder_of_the_next_version(
    run: Run, saved_index: Path, exported: Result, version_path: Path, tmp_path: Path
) -> None:
    assert (exported.exit_code, exported.stdout, exported.stderr) == (0, f"{version_path}\n", "")
    assert version_path.name == "1"
    shutil.copytree(version_path, tmp_path / "docs" / "1")
    second = read_json(run, "export", saved_index, "--out", tmp_path / "docs", "--signatures", "ids")

    assert second["path"] == str(tmp_path / "docs" / "2")
    assert second["signatures"] == ["embed_ids"]
    base = read_json(run, "info", tmp_path / "docs")
    assert [one["version"] for one in base["versions"]] == ["1", "2"]
    assert "version 2  embed_ids; documents 3" in run("info", tmp_path / "docs").stdout


def test_info_tells_what_a_version_answers_and_needs(run: Run, saved_index: Path, version_path: Path) -> None:
    values = read_json(run, "info", version_path)

    assert values["signatures"] == ["embed", "embed_ids", "search", "search_filtered", "serving_default", "tokenize"]
    assert values["fingerprint"] == read_json(run, "info", saved_index)["fingerprint"]
    assert values["documents"] == 3
    assert "MatMul" in values["ops"]
    shown = run("info", version_path).stdout
    assert "embed, embed_ids, search, search_filtered" in shown
    assert "oldest server" in shown


def test_info_tells_what_is_in_an_index(run: Run, saved_index: Path) -> None:
    values = read_json(run, "info", saved_index)

    assert (values["kind"], values["documents"], values["dim"], values["architecture"]) == ("index", 3, 16, "bert")
    assert values["passages"] > 3  # the third document is cut
    assert values["settings"]["passages"] == {"mode": "split", "overlap_tokens": None}
    assert len(values["fingerprint"]) == 64


def test_info_without_a_folder_tells_the_versions(run: Run) -> None:
    values = read_json(run, "info")

    assert values["tfchain"] == __version__
    assert values["tensorflow"].startswith("2.")
    assert values["cores"] >= 1
    obstacle = find_obstacle()
    assert values["int8 kernels"] == ("run here" if obstacle is None else f"do not run: {obstacle}")


def test_verbose_says_what_is_done(run: Run, tiny_model_path: Path, documents_path: Path, tmp_path: Path) -> None:
    said = run("index", documents_path, "--model", tiny_model_path, "--out", tmp_path / "index", "--verbose").stderr

    assert said.startswith("info: Saved 3 more documents, ")


def test_the_help_texts_have_examples_as_they_are_typed(run: Run) -> None:
    for command in ("index", "search", "evaluate", "export", "serve", "info"):
        shown = run(command, "--help").stdout
        assert "  Examples:\n    tfchain " in shown
    whole = run("--help").stdout
    assert "    130  stopped with Ctrl-C\n" in whole
    assert run("--version").stdout == f"tfchain {__version__}\n"


def test_serve_hands_its_options_to_the_server(
    run: Run, version_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {}

    def deploy(base_path: Path, **options: object) -> None:
        given.update(options, base_path=base_path)
        raise KeyboardInterrupt

    monkeypatch.setattr("tfchain.deployment.deploy.deploy", deploy)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # of this process
    base_path, log = version_path.parent, tmp_path / "log"
    options = (
        "--port",
        0,
        "--rest-port",
        7,
        "--prefer-tflite-model",
        "--engine",
        "litert",
        "--log",
        log,
        "--api-key-file",
        tmp_path / "keys",
        "--workers",
        3,
    )
    assert run("serve", base_path, *options).exit_code == 0
    assert given == {
        "base_path": base_path,
        "model_name": base_path.name,
        "host": "127.0.0.1",
        "grpc_port": 0,
        "rest_port": 7,
        "prefer_tflite_model": True,
        "engine": "litert",
        "log_path": log,
        "ports": DeployedPorts(api_key_file=tmp_path / "keys"),
        "program": "tfchain.chains.model_server",
        "workers": 3,
        "flags": {},
    }


def test_forget_removes_documents_and_names_what_still_holds_them(run: Run, saved_index: Path, tmp_path: Path) -> None:
    index = shutil.copytree(saved_index, tmp_path / "index")
    (tmp_path / "log.jsonl").write_text('{"query": "x", "hits": [{"id": "stock"}]}\n{"query": "y"}\n')
    shown = read_json(
        *(run, "forget", "stock", "--in", index, "--in", tmp_path / "log.jsonl"),
        *("--receipt", tmp_path / "r" / "it.json"),
    )
    assert [(place["kind"], place["removed"]) for place in shown["places"]] == [("index", 1), ("records", 1)]
    assert json.loads((tmp_path / "r" / "it.json").read_text()) == shown
    assert (tmp_path / "log.jsonl").read_text() == '{"query": "y"}\n'
    assert "stocks fell" not in run("search", index, "what fell on monday").stdout

    result = run("forget", "stock", "--in", index)
    assert result.exit_code == 0
    assert result.stdout.split() == ["removed", "0"]
    assert run("forget", "stock", "--in", tmp_path / "none").stderr.startswith("error: No such file or folder")
