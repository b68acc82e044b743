"""A static encoder made of a tiny teacher: each step by hand, and vectors that come closer to the teacher's."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from tfchain import Distill, make_static_encoder
from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.static_vocabulary import make_static_tokenizer
from tfchain.optimization.static_encoder import encode_tokens, reduce_tokens, turn, weigh_tokens

FIXTURES = Path(__file__).parents[1] / "parity" / "fixtures"
WORDS = ("fox", "lists", "merge", "sorted", "quick", "dog", "lazy", "the", "two", "how", "jumps", "over")
TEXTS = [f"{first} {second} {first}" for first in WORDS for second in WORDS]


@pytest.fixture(scope="module")
def teacher() -> TextEncoder:
    return TextEncoder.from_pretrained(FIXTURES / "ernie", engine="tensorflow")


def test_words_are_added_to_a_wordpiece_vocabulary(teacher: TextEncoder) -> None:
    before = teacher.tokenizer.whole
    tokenizer, origin = make_static_tokenizer(teacher.tokenizer, ["Zebrafish", "zebrafish", "two words", "the"])
    made = tokenizer.whole
    assert made.get_vocab_size() == before.get_vocab_size() + 1
    assert origin[-1] == "Zebrafish"
    assert made.encode("the ZEBRAFISH").tokens[-1] == "zebrafish"
    names = {number: token for token, number in before.get_vocab().items()}
    for token, number in made.get_vocab().items():
        assert isinstance(origin[number], str) or names[origin[number]] == token


def test_places_that_were_never_learned_are_left_out(teacher: TextEncoder) -> None:
    values = json.loads(teacher.tokenizer.whole.to_str())
    values["model"]["vocab"]["[unused7]"] = len(values["model"]["vocab"])
    changed = HostTokenizer(teacher.tokenizer.source, max_length=40)
    changed.__dict__["_whole"] = Tokenizer.from_str(json.dumps(values))
    assert "[unused7]" in changed.whole.get_vocab()
    tokenizer, origin = make_static_tokenizer(changed)
    assert "[unused7]" not in tokenizer.whole.get_vocab()
    assert sorted(tokenizer.whole.get_vocab().values()) == list(range(len(origin)))


def test_words_for_another_kind_of_tokenizer_are_refused() -> None:
    unigram = TextEncoder.from_pretrained(FIXTURES / "xlm_roberta", engine="tensorflow").tokenizer
    tokenizer, origin = make_static_tokenizer(unigram)
    assert origin == list(range(len(tokenizer)))
    with pytest.raises(InputError, match="to a WordPiece vocabulary only. Received: a Unigram tokenizer, and 1 words"):
        make_static_tokenizer(unigram, ["zebrafish"])


def test_each_token_is_encoded_as_a_text_of_its_own(teacher: TextEncoder) -> None:
    fox = teacher.tokenizer.whole.token_to_id("the")
    vectors = encode_tokens(teacher, [fox, "quick"])
    np.testing.assert_allclose(vectors, teacher.encode(["the", "quick"]), atol=1e-5)


def test_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    vectors = np.random.default_rng(0).normal(size=(30, 6)) * [5, 4, 3, 2, 1, 1] + 7
    expected = PCA(n_components=3, svd_solver="full").fit_transform(vectors)
    found = reduce_tokens(vectors, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)


def test_frequent_tokens_weigh_less(teacher: TextEncoder) -> None:
    tokenizer = HostTokenizer(make_static_tokenizer(teacher.tokenizer)[0], max_length=1000)
    the, fox = (tokenizer.whole.token_to_id(word) for word in ("the", "quick"))
    weights = weigh_tokens(tokenizer, 240, ["the the the quick"], 0.25)[:, 0]
    assert (weights[the], weights[fox], weights[5]) == (0.25, 0.5, 1.0)  # 0.25 / (0.25 + 3/4), 0.25 / (0.25 + 1/4)
    by_zipf = weigh_tokens(tokenizer, 3, [], 0.5)[:, 0]
    shares = np.array([1 / 2, 1 / 3, 1 / 4]) / (1 / 2 + 1 / 3 + 1 / 4)
    np.testing.assert_allclose(by_zipf, 0.5 / (0.5 + shares), rtol=1e-6)


def test_the_table_is_turned_to_its_targets() -> None:
    random = np.random.default_rng(0)
    table, matrix = random.normal(size=(9, 4)), random.normal(size=(4, 4))
    means = random.normal(size=(5000, 4))
    np.testing.assert_allclose(turn(table, means, means @ matrix), table @ matrix, atol=1e-2)


def test_training_brings_it_closer_to_the_teacher(teacher: TextEncoder, tmp_path: Path, eager: None) -> None:
    targets = teacher.encode(TEXTS)
    found = []
    for recipe in (None, Distill(epochs=1, batch_size=24, learning_rate=2e-3)):
        made = make_static_encoder(teacher, TEXTS, dim=24, recipe=recipe)
        found.append(float(np.mean(np.sum(made.encode(TEXTS) * targets, axis=1))))
    without_texts = make_static_encoder(teacher, dim=24)
    found.insert(0, float(np.mean(np.sum(without_texts.encode(TEXTS) * targets, axis=1))))
    assert found[0] + 0.1 < found[1]  # random layers are nearly linear, so that least squares leave little to learn
    assert found[2] > 0.99
    (tmp_path / "made").mkdir()
    made.save(tmp_path / "made", portable=True)
    again = TextEncoder.from_pretrained(tmp_path / "made")
    np.testing.assert_allclose(again.encode(TEXTS), made.encode(TEXTS), atol=1e-6)
    narrow = make_static_encoder(teacher, TEXTS, dim=8, recipe=None)
    assert narrow.encode("the fox").shape == (8,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 25}, "`dim` must be at most the teacher's 24. Received: dim=25"),
        ({"dim": 0}, "`dim` must be a whole number of at least 1"),
        ({"dim": 8, "sif": 1.5}, "`sif` must be above 0 and below 1, or None. Received: sif=1.5"),
        ({"dim": 8, "recipe": Distill(objective="layers")}, "`recipe` must be a Distill of embeddings or scores"),
        ({"dim": 8, "texts": [1]}, "text"),
    ],
)
def test_bad_arguments_are_refused(teacher: TextEncoder, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_static_encoder(teacher, **arguments)  # type: ignore[arg-type]
