"""The complete workflow in one script: documents in, answers out, in Python, over REST and over gRPC.

make demo                  the documentation of Python's standard library, available on every machine
make demo DOCS=my/folder   your own documents: a folder of text, a .jsonl, .csv, .tsv or .parquet file, a BEIR folder
"""

import argparse
import contextlib
import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import tfchain
from tfchain import Document, SearchResult, TfchainError
from tfchain.cli.process import prepare_process
from tfchain.data.documents.beir import is_beir_folder, read_beir
from tfchain.data.documents.python_docs import read_python_docs
from tfchain.data.documents.reading import read_documents
from tfchain.deployment.deploy import deploy

QUESTIONS = [
    "how do I merge two sorted lists",
    "measure how much memory my program uses",
    "turn a string with a date in it into an object",
    "copy a whole folder to another place",
    "wait until several threads have reached the same point",
]
SHOWN_HITS = 3

Answers = list[tuple[SearchResult, float]]  # each question's answer, and its time in milliseconds

console = Console(highlight=False)


def main() -> None:
    options = parse_options()
    base_path = options.out / "search"

    # 1. A chain is a tokenizer, an encoder and an index in one object.
    documents = list(itertools.islice(read_docs(options.docs), options.limit))
    with timed("The model is loaded, and on its first use converted for LiteRT"):
        chain = tfchain.NeuralSearchChain(model=options.model, engine=options.engine)
        chain.encode("A first text gets everything ready.")

    # 2. Documents in: each becomes a vector, or several if it is long.
    with timed(f"{len(documents):,} documents are encoded", count=len(documents)):
        chain.add(documents)
    chain.save(options.out / "index")

    # 3. Answers out, in this process.
    questions = make_questions(options.docs, documents)[: options.questions]
    answers = {"in process": ask(questions, chain.search)}

    # 4. The same from a server: the SavedModel contains tokenizer, encoder and index.
    shutil.rmtree(base_path, ignore_errors=True)
    with timed("A version for TensorFlow Serving is exported, its answers compared with the chain's"):
        chain.export(base_path)
    with timed("The server is up"):
        server = deploy(base_path, model_name="search", client_type=tfchain.Client)
    with server, server.client() as client:
        for label, protocol in (("REST", "rest"), ("gRPC", "grpc")):
            answers[label] = ask(questions, partial(search_server, client, protocol))
    console.print("The server has stopped.\n")

    console.print(make_table(answers))
    check_equal(answers)
    console.print("\nThe chain, REST and gRPC gave the same answers.")

    # 5. For data with relevance judgements: measure the ranking.
    if is_judged(options.docs):
        print_quality(chain, options.docs, is_whole=options.limit is None)

    console.print("\nContinue with these documents:")
    console.print(f'  .venv/bin/tfchain search {shorten(options.out / "index")} "your question"', soft_wrap=True)
    console.print(f"  .venv/bin/tfchain serve {shorten(base_path)}", soft_wrap=True)
    console.print("  and in the browser, while it serves: http://127.0.0.1:8501/", soft_wrap=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("docs", nargs="?", type=Path, help="your own documents; default: Python's documentation")
    parser.add_argument("--questions", type=int, default=5, help="the number of questions (5)")
    parser.add_argument("--limit", type=int, help="use only the first documents")
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--engine", default="auto", help="the engine: auto, tensorflow, litert or native")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / ".demo")
    return parser.parse_args()


def read_docs(path: Path | None) -> Iterator[Document]:
    return read_python_docs() if path is None else read_documents([path])


def is_judged(path: Path | None) -> bool:
    return path is not None and is_beir_folder(path)


def make_questions(path: Path | None, documents: Sequence[Document]) -> list[str]:
    """Returns questions: fixed ones for Python's documentation, a data set's own, or titles of some documents."""
    if path is None:
        return QUESTIONS
    if is_judged(path):
        console.print("The questions are the data set's own: the first ones of its test queries.")
        return list(read_beir(path).queries.values())
    console.print("The questions are titles and first sentences of some of your documents.")
    sample = documents[:: max(1, len(documents) // 20)]
    texts = ((document.title or document.text).strip() for document in sample)
    return list(dict.fromkeys(text.splitlines()[0].split(". ")[0][:80] for text in texts))


def ask(questions: Sequence[str], search: Callable[[str], SearchResult]) -> Answers:
    """Asks each question separately, after an untimed one, because the first call opens connections and so on."""
    search(questions[0])
    answers = []
    for question in questions:
        start = time.perf_counter()
        result = search(question)
        answers.append((result, 1000 * (time.perf_counter() - start)))
    return answers


def search_server(client: "tfchain.Client", protocol: str, question: str) -> SearchResult:
    return client.search(question, model="search", protocol=protocol)[0]


def make_table(answers: dict[str, Answers]) -> Table:
    """Makes a table of the questions, their best answers, and the time of each way."""
    table = Table(title="What was asked, and what was found", title_justify="left", expand=True, box=box.SIMPLE_HEAD)
    table.add_column("question and best documents", ratio=1)
    for heading in ("score", *answers):
        table.add_column(heading, justify="right", no_wrap=True)
    for same_question in zip(*answers.values(), strict=True):
        result = same_question[0][0]
        times = [f"{milliseconds:.1f} ms" for _, milliseconds in same_question]
        table.add_row(Text(one_line(result["text"], 200), style="bold"), "", *times)
        for hit in result.hits[:SHOWN_HITS]:
            # A Text shows brackets in documents literally.
            found = Text.assemble("  ", (one_line(hit.id, 40), "cyan"), "  ", one_line(hit.text or hit.title, 500))
            found.no_wrap, found.overflow = True, "ellipsis"
            table.add_row(found, f"{hit.score:.3f}")
        table.add_section()
    return table


def check_equal(answers: dict[str, Answers]) -> None:
    """Raises if two ways score a document differently, or one finds a document that the other ranks too low."""
    first, *others = ([result.hits for result, _ in way] for way in answers.values())
    for hits in others:
        for expected, found in zip(first, hits, strict=True):
            scores = {hit.id: hit.score for hit in expected}
            for left, right in zip(expected, found, strict=True):
                same_document = scores.get(right.id, expected[-1].score)  # documents tied with the last may be swapped
                if max(abs(left.score - right.score), abs(same_document - right.score)) > 1e-4:
                    raise TfchainError(f"The answers differ: {left.id} ({left.score}), {right.id} ({right.score}).")


def print_quality(chain: "tfchain.NeuralSearchChain", path: Path, *, is_whole: bool) -> None:
    if not is_whole:
        console.print("\nNo nDCG@10: only part of the documents was used.")
        return
    with timed("The test queries are ranked"):
        report = chain.evaluate(path, metrics=["ndcg@10"])
    console.print(
        f"nDCG@10 {report['ndcg@10']:.4f} with passages={chain.passages.mode!r}: long documents are "
        + ("cut into passages." if chain.passages.mode == "split" else "truncated.")
    )


@contextlib.contextmanager
def timed(what: str, *, count: int | None = None) -> Iterator[None]:
    """Prints a step, and the seconds that it took."""
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    console.print(f"{what}: {seconds:.1f} s" + (f", {count / seconds:,.0f} a second" if count else ""))


def one_line(text: str, length: int) -> str:
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def shorten(path: Path) -> str:
    """Returns the path, relative to the current folder if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


if __name__ == "__main__":
    prepare_process()  # keeps TensorFlow's log lines off the terminal
    try:
        main()
    except TfchainError as error:
        sys.exit(f"error: {error}")
