"""Training without a single query: queries are made of the documents' own titles, sentences and key phrases.

Run: .venv/bin/python examples/augmentation.py [MODEL [FOLDER]]

MODEL is a folder or a name on the hub; without it, the small English model that comes with tfchain. The documents are
the text files in FOLDER, by default tfchain's own pages, cut into passages along their headings. The training is a
short one, to show the way: how much such a training helps on SciFact is measured by benchmarks/augmentation.py.
"""

import sys
from collections import Counter
from pathlib import Path

from tfchain import NeuralSearchChain
from tfchain.data.augmentation.query_filters import DropRepeatedQueries, FilterRoundTrip
from tfchain.data.augmentation.synthetic_queries import SynthesizeQueries
from tfchain.data.augmentation.word_noise import DeleteWords
from tfchain.data.documents.reading import read_documents
from tfchain.data.documents.split_passages import SplitPassages
from tfchain.data.lexical.terms import count_words
from tfchain.data.steps.run import StepsRun, stream

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main(arguments: list[str]) -> None:
    """Makes queries, trains, and searches."""
    chain = NeuralSearchChain.from_pretrained(arguments[0]) if arguments else NeuralSearchChain()
    tokenizer = chain.text_encoder.tokenizer
    documents = list(read_documents(arguments[1] if len(arguments) > 1 else DOCS))
    run = StepsRun(
        [
            SplitPassages(tokenizer.content_length, count_tokens=tokenizer.count_tokens),
            SynthesizeQueries(words=count_words(document.full_text for document in documents)),
            FilterRoundTrip(top_k=5),
            DropRepeatedQueries(),
        ]
    )
    rows = list(stream(documents, run))
    for log in run.logs:
        left_out = ", ".join(f"{count} {reason}" for reason, count in log.dropped.items()) or "nothing"
        print(f"{log.step}: {log.received} in, {log.passed} out; left out: {left_out}")
    print("kinds:", dict(Counter(row["kind"] for row in rows)))
    for row in rows[:3]:
        print(f"  {row['kind']}: {row['query'][:70]!r}")

    # Each epoch leaves out other words of the queries: people do not type whole sentences.
    noise = [DeleteWords(rate=0.2, columns=("query",))]
    history = chain.fit(rows[:64], batch_size=32, epochs=2, augment=noise)
    print(f"loss: {history.history['loss'][0]:.3f}, then {history.history['loss'][-1]:.3f}")
    chain.add(documents)
    print(chain.search("how do I train with several machines"))


if __name__ == "__main__":
    main(sys.argv[1:])
