"""Planted faults of every kind are found, and little else: benchmarks/data_checks.py in small, on random words."""

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.data.checks.kinds import KINDS

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
NUM_PASSAGES = 200
NUM_FAULTS = 20


class Tokenizer:
    """Words are tokens, and those beyond ASCII are unknown."""

    unk_token_id, model_max_length = 0, 10**30

    def num_special_tokens_to_add(self, pair: bool) -> int:
        return 0

    def __call__(self, texts: list[str], **options: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[int(word.isascii()) for word in text.split()] for text in texts]}


def encode(texts: list[str]) -> np.ndarray:
    """Vectors of the words, in any order; common words, of four letters and fewer, hardly count."""
    vectors = np.zeros((len(texts), 512))
    for row, text in enumerate(texts):
        for word in text.lower().rstrip("?").split():
            vectors[row] += random_vector(word) * (0.05 if len(word) <= 4 else 1)
    return vectors


def random_vector(word: str) -> np.ndarray:
    return np.random.default_rng(sum(ord(letter) * 31**place for place, letter in enumerate(word)) % 2**32).normal(
        size=512
    )


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import planted_faults

    rng = random.Random(0)
    words = ["".join(rng.choice("bdfglmnprst") + rng.choice("aeiou") for _ in range(3)) for _ in range(3000)]
    passages = [" ".join(rng.choices(words, k=rng.randint(40, 80))) for _ in range(NUM_PASSAGES)]
    questions = [
        " ".join([*rng.sample(text.split(), 8), *rng.choices(words, k=rng.randint(6, 10))]) for text in passages
    ]

    def shuffle_words(text: str) -> str:
        return "tell me " + " ".join(rng.sample(text.split(), len(text.split())))

    base = planted_faults.Base(
        [f"{question}?" for question in questions],
        passages,
        [" ".join(text.split()[10:12]) for text in passages],
        foreign=[f"其他语言的句子，第{place}句" for place in range(NUM_FAULTS)],
        encode=encode,
        count_tokens=lambda texts: [len(text.split()) for text in texts],
        tokenizer=Tokenizer(),
        detect_language=lambda text: "en" if text.isascii() else "zh",
        paraphrase=shuffle_words,
    )
    planter = planted_faults.Planter(base, tmp_path_factory.mktemp("planted"), NUM_FAULTS)
    sys.modules.pop("planted_faults", None)
    return {case.name: case for case in planted_faults.run_all(planter)}


def test_every_kind_is_planted(cases: dict[str, Any]) -> None:
    assert set(KINDS) <= set(cases)


@pytest.mark.parametrize("kind", KINDS)
def test_planted_faults_are_found_and_little_else(kind: str, cases: dict[str, Any]) -> None:
    case = cases[kind]

    assert len(case.planted) >= 4
    assert case.precision >= 0.95
    assert case.recall >= 0.95


def test_the_table_of_the_benchmark_has_every_kind() -> None:
    table = (BENCHMARKS / "DATA_CHECKS.md").read_text(encoding="utf-8")

    assert not [kind for kind in KINDS if f"| {kind} |" not in table]
