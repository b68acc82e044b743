"""The examples run, and print what they promise."""

import contextlib
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.data.extraction.make_files import HTML, make_docx, make_pdf
from tests.search_server import make_router, serve_http, serve_models, write_version
from tfchain import Hit, NeuralSearchChain, SearchResult, TfchainError
from tfchain.models.engines.litert_engine import LiteRTEngine

pytestmark = pytest.mark.usefixtures("forks")  # of servers too: an import of TensorFlow takes seconds

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run_example(name: str, *arguments: object) -> None:
    """Runs an example in this process, with the engine that needs no conversion."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))  # as Python does for a script
        patch.setattr(LiteRTEngine, "find_obstacle", lambda computation: "the test takes no time to convert")
        runpy.run_path(str(EXAMPLES / name))["main"]([str(argument) for argument in arguments])


def run_demo(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "TRANSFORMERS_"))}
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**environment, "COLUMNS": "110"},
    )


def test_the_demo_answers_the_same_three_ways(tmp_path: Path) -> None:
    done = run_demo("--limit", 50, "--questions", 2, "--out", tmp_path, "--engine", "tensorflow")

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    headings = next(line for line in lines if "question and best documents" in line)
    assert headings.split()[-5:] == ["score", "in", "process", "REST", "gRPC"]
    start = next(number for number, line in enumerate(lines) if "how do I merge two sorted lists" in line)
    assert lines[start].split()[-6:][1::2] == ["ms", "ms", "ms"]
    scores = [float(line.split()[-1]) for line in lines[start + 1 : start + 4]]
    assert scores == sorted(scores, reverse=True)
    assert "The chain, REST and gRPC gave the same answers." in done.stdout
    assert any(line.startswith("50 documents are encoded: ") and line.endswith(" a second") for line in lines)
    assert max(map(len, lines)) <= 110 + len(str(tmp_path))  # the last lines hold a path
    assert (tmp_path / "search" / "1" / "saved_model.pb").is_file()
    assert (tmp_path / "index" / "chain.json").is_file()


@pytest.fixture
def mixed_folder(tmp_path: Path) -> Path:
    """Files as people have them: PDF, HTML, Word, Markdown, text in two encodings; English and Chinese."""
    folder = tmp_path / "mixed"
    (folder / "handbook").mkdir(parents=True)
    pages = ("The rent is due on the third working day.", "Dogs need the landlord's word. Call 030 12345678.")
    (folder / "rules.pdf").write_bytes(make_pdf(*pages, title="House rules"))
    (folder / "cats.html").write_text(HTML)
    (folder / "handbook" / "dogs.docx").write_bytes(make_docx("Dogs"))
    (folder / "handbook" / "keys.md").write_text("# Keys\n\nWhoever loses a key pays. Ask anna@example.org.\n")
    (folder / "handbook" / "房租.txt").write_text("房租每月三号之前付清。养狗需要房东同意。\n")
    (folder / "handbook" / "old.txt").write_bytes("钥匙丢失者须支付新锁的费用。".encode("gb18030"))
    (folder / "handbook" / "empty.txt").write_text("\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def test_the_demo_on_a_folder_of_mixed_files(mixed_folder: Path, tmp_path: Path) -> None:
    done = run_demo(mixed_folder, "--questions", 7, "--out", tmp_path / "out", "--engine", "tensorflow")

    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == [
        f"Read 1 file as gb18030, which is not UTF-8; the first is {mixed_folder}/handbook/old.txt.",
        f"Skipped 1 document with neither title nor text, the first at {mixed_folder}/handbook/empty.txt.",
    ]
    lines = done.stdout.splitlines()
    assert any(line.startswith("6 documents are encoded: ") for line in lines)
    assert "The chain, REST and gRPC gave the same answers." in done.stdout
    for question, best in (
        ("House rules", "rules.pdf"),
        ("Keys", "handbook/keys.md"),
        ("钥匙丢失者须支付", "handbook/old.txt"),
    ):
        asked = next(number for number, line in enumerate(lines) if line.strip().startswith(question))
        assert lines[asked + 1].split()[0] == best


def test_mixed_folder(mixed_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("mixed_folder.py", mixed_folder, "Dogs need the landlord's word.")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "6 records read, 6 written"
    assert "  mask_personal_data: 6 → 6 (changed, email: 1; changed, phone: 1)" in lines
    hits = lines[lines.index("Dogs need the landlord's word.") + 1 :]
    assert len(hits) == 3
    assert "rules.pdf > page 1: " in hits[0]


def test_the_demo_says_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "gone", "--out", tmp_path / "out")

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "gone" in done.stderr


def test_the_demo_on_a_data_set_asks_its_queries_and_prints_ndcg(
    tiny_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "who runs"}\n{"_id": "b", "text": "stocks fell"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "stocks fell"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("q\tb\t1\n")
    demo = runpy.run_path(str(EXAMPLES / "demo.py"))
    documents = list(demo["read_docs"](tmp_path))
    chain = NeuralSearchChain.from_pretrained(tiny_model_path, engine="tensorflow").add(documents)

    assert demo["is_judged"](tmp_path)
    assert demo["make_questions"](tmp_path, documents) == ["stocks fell"]
    demo["print_quality"](chain, tmp_path, is_whole=True)
    assert "nDCG@10 1.0000 with passages='split'" in capsys.readouterr().out  # the text itself comes first
    demo["print_quality"](chain, tmp_path, is_whole=False)
    assert "No nDCG@10" in capsys.readouterr().out


def test_the_demo_on_a_folder_takes_its_questions_from_the_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text("# What [/bold] does\n\nthe cat sleeps")
    (tmp_path / "b.txt").write_text("A first sentence. And a second one.")
    demo = runpy.run_path(str(EXAMPLES / "demo.py"))
    documents = list(demo["read_docs"](tmp_path))

    assert not demo["is_judged"](tmp_path)
    assert demo["make_questions"](tmp_path, documents) == ["What [/bold] does", "A first sentence"]
    assert "titles and first sentences" in capsys.readouterr().out


def test_the_demo_notices_answers_that_differ() -> None:
    demo = runpy.run_path(str(EXAMPLES / "demo.py"))
    result = SearchResult("q", "a", [Hit("1", 0.9, "a"), Hit("2", 0.5, "b"), Hit("3", 0.5, "c")])
    tied = SearchResult("q", "a", [Hit("1", 0.9, "a"), Hit("3", 0.5, "c"), Hit("2", 0.5, "b")])
    wrong = SearchResult("q", "b", [Hit("2", 0.9, "b"), Hit("1", 0.5, "a"), Hit("3", 0.5, "c")])

    demo["check_equal"]({"here": [(result, 1.0)], "there": [(tied, 2.0)]})
    with pytest.raises(TfchainError, match="The answers differ"):
        demo["check_equal"]({"here": [(result, 1.0)], "there": [(wrong, 2.0)]})


def test_own_documents(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("own_documents.py", thin_model_path)

    first, *hits, last = capsys.readouterr().out.splitlines()
    assert first.startswith("{'text': 'May I keep a dog?', 'answer': ")
    assert len(hits) == 2
    assert all("page" in hit for hit in hits)
    assert last in ("The rent is due on the first of each month.", "Cats are welcome. Dogs need the landlord's word.")


def test_serve_and_query(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("serve_and_query.py", thin_model_path)

    grpc, rest, vectors, urllib = capsys.readouterr().out.splitlines()
    assert grpc.removeprefix("gRPC: ") == rest.removeprefix("REST: ") == urllib.removeprefix("urllib: ")
    assert vectors == "vectors: (2, 16)"


def test_several_models(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("several_models.py", thin_model_path)

    stable, house, first, following = capsys.readouterr().out.splitlines()
    assert stable.removeprefix("stable: ").endswith((" sorted output.", " copies a folder."))
    assert house.removeprefix("house: ").startswith(("Cats are welcome.", "The rent is due"))
    assert (first, following) == ("stable: one of 2 documents", "next: one of 3 documents")


def test_tls_and_keys(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl, which makes the certificate, is not installed")
    run_example("tls_and_keys.py", thin_model_path)

    rest, grpc, refused = capsys.readouterr().out.splitlines()
    assert rest.startswith("rest: 2 hits, the best is ")
    assert grpc == rest.replace("rest", "grpc", 1)
    assert refused.startswith("without a key: ")
    assert "UNAUTHENTICATED" in refused or "401" in refused


def test_search_page(
    thin_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def deploy(chain: NeuralSearchChain, folder: str, *, name: str, top_k: int) -> Iterator[SimpleNamespace]:
        """Serves the chain's documents in this process: exporting and starting a server is tested elsewhere."""
        version = Path(folder) / name / "1"
        write_version(version, {document.id: document.text for document in chain.index}, top_k=top_k)
        with serve_models({name: {1: version}}) as manager, serve_http(make_router(manager)) as url:
            yield SimpleNamespace(rest_url=url)

    monkeypatch.setattr(NeuralSearchChain, "deploy", deploy)
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "lists.txt").write_text("Lists are merged by heapq.")
    run_example("search_page.py", documents, thin_model_path)

    hit, page = capsys.readouterr().out.splitlines()
    assert hit.split("  ")[1:] == ["lists.txt", "[Lists] are [merged] by heapq."]
    assert page.startswith("page: http://127.0.0.1:")


def test_openai_client(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("openai_client.py", "--model", thin_model_path)

    models, vectors, answer = capsys.readouterr().out.splitlines()
    assert models == "models: docs"
    assert vectors.startswith("vectors: (3, 16) of ")
    assert answer.startswith("why does dough get bigger: ")


def test_qwen3_embedding(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("qwen3_embedding.py")

    own, first, second, other = capsys.readouterr().out.splitlines()
    assert own.startswith("own instruction: 'Instruct: Given a web search query, retrieve relevant passages")
    assert float(first.split()[0]) >= float(second.split()[0])
    assert other.startswith("another instruction: ")


def test_multilingual(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("multilingual.py")

    address, *hits, same = capsys.readouterr().out.splitlines()
    assert address.endswith("/v1/models/multilingual:predict  什么时候可以买面包？")
    assert len(hits) == 3
    assert same == "The same order as in Python: True"


def test_image_search(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("image_search.py")
    printed = capsys.readouterr().out
    assert "Trained on 12 pictures" in printed
    assert "12 pictures were saved and loaded." in printed
    best = next(line for line in printed.splitlines() if line[:1] in "01-" and "  a " in line)
    assert "a blue " in best
    assert "Its color: green" in printed


@pytest.mark.usefixtures("eager")
def test_reranking(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("reranking.py", "--model", thin_model_path, "--epochs", 1)

    trained, first, second, measured, answer = capsys.readouterr().out.splitlines()
    assert trained.startswith("Trained on 6 questions: the loss is ")
    documents = set(runpy.run_path(str(EXAMPLES / "reranking.py"))["DOCUMENTS"].values())
    assert {first.partition("  ")[2], second.partition("  ")[2], answer} <= documents
    assert measured.startswith("MRR@10 of the search: ")


@pytest.mark.usefixtures("eager")
def test_late_interaction(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("late_interaction.py", "--model", thin_model_path, "--epochs", 1)

    trained, counted, first, second, measured, answer = capsys.readouterr().out.splitlines()
    assert trained.startswith("Trained on 6 questions: the loss is ")
    assert counted.startswith("16 vectors for the question, ")
    documents = set(runpy.run_path(str(EXAMPLES / "late_interaction.py"))["DOCUMENTS"].values())
    assert {first.partition("  ")[2], second.partition("  ")[2], answer} <= documents
    assert measured.startswith("MRR@10 of the search: ")


@pytest.mark.usefixtures("eager")
def test_question_answering(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = Path(__file__).parents[1] / "parity" / "reader_fixtures" / "bert"
    run_example("question_answering.py", "--model", thin_model_path, "--reader", reader)

    measured, answer, other, long, loaded = capsys.readouterr().out.splitlines()
    assert measured.startswith("exact match ")
    assert " in document '" in answer
    assert other.startswith("or ")
    assert long.startswith("a text of 1463 characters says ")
    assert loaded == "6 documents are there again"


@pytest.mark.usefixtures("eager")
def test_recommendation(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("recommendation.py", "--epochs", 1)
    lines = capsys.readouterr().out.splitlines()
    best = [line for line in lines if line.startswith("for 0: ")]
    assert len(best) == 3
    assert "served: " + ", ".join(line.removeprefix("for 0: ").rsplit(" (", 1)[0] for line in best) == lines[-1]


@pytest.mark.usefixtures("eager")
def test_classify(thin_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("classify.py", "--model", thin_model_path, "--epochs", 1)

    head, trained, metrics, served = capsys.readouterr().out.splitlines()
    assert head.startswith("head: ")
    assert trained.removeprefix("trained: ") == served.removeprefix("served: ")
    assert [part.split()[0] for part in metrics.removeprefix("metrics: ").split(", ")] == [
        *("accuracy", "macro_f1", "log_loss", "ece")
    ]


def test_chinese_folder(
    thin_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "文档"
    folder.mkdir()
    (folder / "助手.txt").write_text("我是一个智能助手。", encoding="utf-8")
    (folder / "你好.md").write_text("# 你好\n\n你好，你好！", encoding="utf-8")

    run_example("chinese_folder.py", thin_model_path, folder, "我是一个智能助手。")

    count, first, second, version = capsys.readouterr().out.splitlines()
    assert count == "2 篇文档"
    assert first.startswith("1. 1.000  助手.txt")
    assert second.startswith("2. ")
    assert version == "saved_models/chinese/1"


def test_data_report(thin_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ("arrival", "refund", "login")
    rows = [f"{labels[place % 3]} question {place},{labels[place % 3]}" for place in range(30)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]))
    (tmp_path / "test.csv").write_text("text,label\nARRIVAL question 3,arrival\nanother,refund\n")

    run_example("data_report.py", tmp_path, "--model", thin_model_path, "--out", tmp_path / "report")

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("stop: ")
    assert "in both: test.csv:2 = train.csv:5" in lines
    assert lines[-2:] == ["stop: label: value not allowed. (2 of 2)", "stop: text: missing. (1 of 2)"]
    assert (tmp_path / "report" / "report.html").is_file()


def test_drift(thin_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("drift.py", "--model", thin_model_path, "--out", tmp_path)

    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "canaries: recall 1.00, vector distance 0.000000",
        "as ever: nothing changed",
        "a bank's customers come: queries changed",
    ]
    assert (tmp_path / "pets" / "1" / "assets.extra" / "reference.npz").is_file()
    assert (tmp_path / "pets" / "1" / "assets.extra" / "canaries.jsonl").is_file()


def test_clicks_become_pairs_with_the_bias_of_places_taken_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example("feedback_pairs.py", tmp_path / "made", "--answers", 1500)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "on disk: who pays for a lost key, mail [EMAIL]"
    looked = [float(chance) for chance in lines[2].partition(": ")[2].split(", ")]
    assert looked == pytest.approx([1.0, 0.4, 0.2], abs=0.08)  # the truth of the example
    relevant = {line.partition(":")[0]: float(line.split("relevant ")[1].split(",")[0]) for line in lines[3:6]}
    assert relevant == pytest.approx({"keys": 0.7, "rules": 0.3, "rent": 0.1}, abs=0.1)
    assert (tmp_path / "made" / "feedback" / "qrels" / "train.tsv").is_file()
    assert (tmp_path / "made" / "report.html").stat().st_size > 5000
