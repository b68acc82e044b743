"""Serve documents with a page to search them in the browser.

.venv/bin/python examples/search_page.py [FILE_OR_FOLDER] [MODEL]

Without a file or folder it serves some documents of its own. It runs until Enter is pressed.
"""

import json
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfchain import NeuralSearchChain

DOCUMENTS = [
    "Merging\n\nheapq.merge puts several sorted inputs together into one sorted output, without reading them whole.",
    "Copying\n\nshutil.copytree copies a whole folder, with everything in it, to another place.",
    "Memory\n\ntracemalloc tells how much memory a program has taken, and which line of it.",
]
QUESTION = "how do I merge two sorted lists"


def main(arguments: Sequence[str]) -> None:
    chain = NeuralSearchChain(model=arguments[1] if len(arguments) > 1 else None)
    chain.add(Path(arguments[0]) if arguments else DOCUMENTS)

    with tempfile.TemporaryDirectory() as folder, chain.deploy(folder, name="docs", top_k=20) as server:
        # What the page asks: marks say where in a passage words of the question stand.
        hit = search(server.rest_url, QUESTION)["results"][0]["hits"][0]
        for highlight in hit["highlights"]:
            print(f"{hit['score']:.3f}  {hit['id']}  {show_marks(highlight['text'], highlight['marks'])}")

        print(f"page: {server.rest_url}/")
        if sys.stdin.isatty():
            input("Press Enter to stop. ")


def search(url: str, question: str) -> Any:
    body = json.dumps({"query": question, "top_k": 1}).encode()
    with urllib.request.urlopen(f"{url}/v1/search", body, timeout=30) as response:
        return json.load(response)


def show_marks(text: str, marks: Sequence[Sequence[int]]) -> str:
    for start, end in reversed(marks):
        text = f"{text[:start]}[{text[start:end]}]{text[end:]}"
    return " ".join(text.split())


if __name__ == "__main__":
    main(sys.argv[1:])
