"""Distillation from translations: a student with a vocabulary of its own learns two languages of a teacher of one."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from transformers import BertTokenizer

from tests.tiny_model import save_tiny_model
from tfchain import Distill, NeuralSearchChain, Quantize, Shrink, compress
from tfchain.core.errors import InputError
from tfchain.data.pairs.reading import Pairs, read_pairs
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.distill import distill
from tfchain.optimization.learning_texts import read_learning_texts, to_plain_texts

NOUNS = {"cat": "katze", "dog": "hund", "stock": "aktie", "monday": "montag"}
VERBS = {"sleeps": "ruht", "runs": "rennt", "fell": "fiel", "does": "tut"}
EVERY = [(f"the {a} {c}", f"so {b} {d}") for a, b in NOUNS.items() for c, d in VERBS.items()]
HELD_OUT = EVERY[::5]  # each noun and each verb once
ROWS = [one for one in EVERY if one not in HELD_OUT]


@pytest.fixture(scope="module")
def teacher_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("english") / "bert"
    save_tiny_model(folder, seed=3, hidden_dim=32)
    return folder


@pytest.fixture
def teacher(teacher_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(teacher_path, engine="tensorflow")


@pytest.fixture
def student() -> TextEncoder:
    return make_student(32)


def make_student(hidden_dim: int) -> TextEncoder:
    """A random model whose vocabulary has whole words of both languages, in an order of its own."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "so", *NOUNS.values(), *VERBS.values(), *VERBS, *NOUNS]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate([*words, "the"])}, model_max_length=12)
    keras.utils.set_random_seed(7)
    transformer = TransformerConfig(
        architecture="bert",
        vocabulary_size=len(words) + 1,
        hidden_dim=hidden_dim,
        num_layers=1,
        num_heads=2,
        intermediate_dim=32,
        max_positions=12,
        num_token_types=2,
        dropout=0.0,
        attention_dropout=0.0,
    )
    return TextEncoder(tokenizer, Encoder(EncoderConfig(transformer=transformer, normalize=True)), engine="tensorflow")


def find_translations(student: TextEncoder, teacher: TextEncoder) -> tuple[list[int], float]:
    """For each text held out the place of the teacher's English one that the student's German one is nearest to, and
    the mean cosine of the right ones."""
    english, german = (list(column) for column in zip(*HELD_OUT, strict=True))
    cosines = student.encode(german, progress=False) @ teacher.encode(english, progress=False).T
    return cosines.argmax(axis=1).tolist(), float(np.mean(np.diag(cosines)))


def test_translations_come_to_the_teachers_vectors_of_the_texts(
    student: TextEncoder, teacher: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    encode = TextEncoder.encode

    def listen(self: TextEncoder, texts: Any, **options: Any) -> Any:
        if self is teacher:
            asked.extend(texts)
        return encode(self, texts, **options)

    monkeypatch.setattr(TextEncoder, "encode", listen)
    recipe = Distill(distance="mse", epochs=120, batch_size=4, learning_rate=1e-2)
    made = distill(student, teacher, recipe, ROWS, progress=False)
    assert sorted(asked) == sorted(row[0] for row in ROWS)  # it does not know the other language
    monkeypatch.undo()

    places, cosine = find_translations(made, teacher)
    assert places == [0, 1, 2, 3]
    assert find_translations(student, teacher)[1] < 0 < 0.95 < cosine
    english = [row[0] for row in HELD_OUT]  # and the first language is learned, too
    assert np.mean(np.sum(made.encode(english) * teacher.encode(english), axis=1)) > 0.95


def test_a_student_of_another_width_learns_how_alike_translations_are(teacher: TextEncoder) -> None:
    student = make_student(16)
    recipe = Distill(objective="scores", epochs=60, batch_size=12, learning_rate=1e-2)
    made = distill(student, teacher, recipe, ROWS, progress=False)
    english, german = (made.encode(list(column)) for column in zip(*HELD_OUT, strict=True))
    assert (german @ english.T).argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert np.mean(np.sum(german * english, axis=1)) > 0.9


def test_compress_takes_a_teacher_and_a_file_of_translations(
    student: TextEncoder, teacher: TextEncoder, tmp_path: Path
) -> None:
    (tmp_path / "pairs.tsv").write_text("\n".join(["sentence1\tsentence2", *map("\t".join, ROWS)]), encoding="utf-8")
    recipes = [Shrink(intermediate_dim=24), Distill(epochs=60, batch_size=4, learning_rate=1e-2), Quantize("bfloat16")]
    made = compress(student, recipes, texts=read_pairs(tmp_path / "pairs.tsv"), teacher=teacher, progress=False)
    assert made.report.name == "shrink(intermediate_dim=24) + distill + bfloat16"
    assert find_translations(made.text_encoder, teacher)[0] == [0, 1, 2, 3]


def test_a_chain_learns_another_chains_language(teacher_path: Path, student: TextEncoder) -> None:
    english = NeuralSearchChain.from_pretrained(teacher_path, engine="tensorflow")
    chain = NeuralSearchChain(tokenizer=student.tokenizer.tokenizer, model=student.encoder, engine="tensorflow")
    chain.add([row[1] for row in HELD_OUT])
    recipe = Distill(epochs=60, batch_size=4, learning_rate=1e-2)
    chain.compress([recipe], texts=ROWS, teacher=english, progress=False)
    assert find_translations(chain.text_encoder, english.text_encoder)[0] == [0, 1, 2, 3]
    assert chain.search(HELD_OUT[2][0]).hits[0].text == HELD_OUT[2][1]  # asked in English, found in German


def test_rows_have_no_roles_labels_or_judgments() -> None:
    pairs = read_learning_texts(Pairs((["a"], ["b"]), labels=np.ones((1, 1), "float32"), relevant=((1,),)))
    assert (pairs.columns, pairs.labels, pairs.relevant, pairs.symmetric) == ((["a"], ["b"]), None, None, True)
    assert read_learning_texts([["a", "b", "c"], ["d", "e", "f"]]).columns == (["a", "d"], ["b", "e"], ["c", "f"])
    assert to_plain_texts([("a", "b"), ("c", "d")]) == ["a", "c", "b", "d"]
    assert to_plain_texts(["a", "b"]) == ["a", "b"]
    assert to_plain_texts(None) is None


@pytest.mark.parametrize(("texts", "message"), [
    ([("a", "b"), ("c",)], r"1|2"),
    ([("a", "b"), ("c", "")], "empty"),
    ([("a", "b", 0.5)], "must be a text that is not empty. Received: 0.5"),
    ([{"sentence1": "a", "sentence2": "b", "score": 1.0}], "Each text must be a string. Received: {'sent"),
    ("the cat", "`texts` must be a list of texts. Received: 'the cat'"),
    ([1, 2], "Each text must be a string"),
])  # fmt: skip
def test_rows_that_cannot_be_are_refused(texts: Any, message: str, student: TextEncoder, teacher: TextEncoder) -> None:
    with pytest.raises(InputError, match=message):
        compress(student, [Distill()], texts=texts, teacher=teacher)


def test_layers_cannot_be_learned_from_translations(teacher: TextEncoder) -> None:
    with pytest.raises(InputError, match="learns from plain texts: .* Received: rows of 2 texts"):
        distill(teacher, teacher, Distill(objective="layers"), ROWS)


def test_a_teacher_without_distill_or_of_another_kind_is_refused(teacher: TextEncoder) -> None:
    with pytest.raises(InputError, match="`teacher` is for Distill. Received: recipes without it"):
        compress(teacher, [Quantize("int8")], teacher=teacher)
    with pytest.raises(InputError, match="`teacher` must be a TextEncoder. Received: str"):
        compress(teacher, [Distill()], texts=["a"], teacher="MiniLM")  # type: ignore[arg-type]
