"""What the benchmark runs on: the texts, the model, the interpreters, the machine."""

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CALIBRATION_TEXTS = 300
AVX_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16")


@dataclass(frozen=True)
class Material:
    """Everything that the measures need to know.

    Args:
        model: The sentence-transformers folder.
        python: The interpreter of tfchain's environment.
        peers: The interpreter of the peers' environment.
        work: A folder for what is made on the way; removed at the end.
        documents: Rows with `id`, `title`, `text`.
        queries: Texts of queries.
    """

    model: Path
    python: Path
    peers: Path
    work: Path
    documents: list[dict[str, str]]
    queries: list[str]

    @property
    def texts(self) -> list[str]:
        """What is encoded of the documents: title, a space, text."""
        return [f"{row['title']} {row['text']}".strip() for row in self.documents]

    @property
    def calibration(self) -> list[str]:
        """Up to 300 of the documents, evenly spread, for an engine that must see texts to quantize."""
        texts = self.texts
        count = min(len(texts), CALIBRATION_TEXTS)
        return [texts[number * len(texts) // count] for number in range(count)]

    @property
    def documents_path(self) -> Path:
        """The documents as a file, for the servers."""
        path = self.work / "documents.jsonl"
        if not path.exists():
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in self.documents)
            path.write_text("".join(lines), encoding="utf-8")
        return path


def read_documents(scifact: Path) -> list[dict[str, str]]:
    """The documents of a BEIR folder."""
    rows = map(json.loads, (scifact / "corpus.jsonl").read_text(encoding="utf-8").splitlines())
    return [{"id": row["_id"], "title": row["title"], "text": row["text"]} for row in rows]


def read_test_queries(scifact: Path) -> list[str]:
    """The queries of a BEIR folder that have judgments in its test split."""
    judged = {line.split("\t")[0] for line in (scifact / "qrels" / "test.tsv").read_text().splitlines()[1:]}
    rows = map(json.loads, (scifact / "queries.jsonl").read_text(encoding="utf-8").splitlines())
    return [row["text"] for row in rows if row["_id"] in judged]


def describe_machine() -> dict[str, str]:
    """The processor, its features and the system; nothing that names the machine."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    features = [feature for feature in AVX_FEATURES if feature in fields.get("flags", "").split()]
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": fields.get("model name", platform.machine()),
        "cores": str(len(os.sched_getaffinity(0))),
        "features": " ".join(features) or "none of " + " ".join(AVX_FEATURES),
        "memory": f"{gigabytes:.0f} GB",
        "load": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
