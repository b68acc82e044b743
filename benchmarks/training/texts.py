"""Pairs of mixed length: SciFact's claims with abstracts, and SQuAD's questions with paragraphs."""

import json
from pathlib import Path

SHARE_OF_SCIFACT = 4  # every fourth pair


def read_judged(folder: Path, split: str) -> list[tuple[str, str]]:
    """The queries and relevant documents (title, space, text) of a BEIR folder, each text once, in the files' order."""
    queries = {row["_id"]: row["text"] for row in read_lines(folder / "queries.jsonl")}
    documents = {
        row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in read_lines(folder / "corpus.jsonl")
    }
    pairs, seen = [], set()
    for line in (folder / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query_id, document_id, grade = line.split("\t")
        pair = (queries[query_id], documents[document_id])
        if int(grade) >= 1 and seen.isdisjoint(pair):
            seen.update(pair)
            pairs.append(pair)
    return pairs


def write_mixed_pairs(scifact: Path, squad: Path, count: int, path: Path) -> dict[str, int]:
    """Writes pairs of which every fourth is SciFact's (long documents), the others SQuAD's, evenly spread.

    No text comes twice, so that every way of making batches has as many of them.

    Returns:
        How many pairs of each.
    """
    own = {"scifact": read_judged(scifact, "train"), "squad": read_judged(squad, "test")}
    counts = {"scifact": count // SHARE_OF_SCIFACT, "squad": count - count // SHARE_OF_SCIFACT}
    rows = []
    for name, pairs in own.items():
        if len(pairs) < counts[name]:
            raise SystemExit(f"{name} has {len(pairs)} pairs without repeated texts; {counts[name]} were asked for.")
        rows += [pairs[number * len(pairs) // counts[name]] for number in range(counts[name])]
    lines = (json.dumps({"query": query, "document": document}, ensure_ascii=False) + "\n" for query, document in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return counts


def read_lines(path: Path) -> list[dict[str, str]]:
    """The rows of a .jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
