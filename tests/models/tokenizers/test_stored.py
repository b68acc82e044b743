"""A folder's tokenizer without transformers, beside the one that transformers makes of the folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfchain.models.bundled import find_bundled_model
from tfchain.models.tokenizers.host import PROBE, HostTokenizer, load_tokenizer
from tfchain.models.tokenizers.stored import StoredTokenizer, note_tokenizer, read_stored_tokenizer

TEXTS = [
    "The quick brown fox", "a " * 50, "naïve CAFÉ résumé Straße", "[MASK] the cat [SEP] <mask> </s>",
    "你好，智能助手 ok", "don't e-mail x2 3.14", "", " ",
    "\u0130stanbul \ufb01sh \u200b", "unbelievablyunknownword" * 9,
    "half a \ud83d pair",
]  # fmt: skip
FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures"


def to_plain(tokenizer: Any) -> dict[str, Any]:
    """All that a fast tokenizer is, but for truncation and padding, and what makes text of ids."""
    parts: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {**parts, "truncation": None, "padding": None, "decoder": None}


def check_is_same(stored: StoredTokenizer, path: Path) -> None:
    expected = load_tokenizer(path)
    assert {**json.loads(stored.whole.to_str()), "decoder": None} == to_plain(expected)
    assert len(stored) == len(expected)
    assert stored.get_vocab() == expected.get_vocab()
    assert stored.num_special_tokens_to_add() == expected.num_special_tokens_to_add(pair=False)
    for name in ("pad_token_id", "sep_token_id", "eos_token_id", "model_max_length", "truncation_side"):
        assert getattr(stored, name) == getattr(expected, name), name
    for options in ({"max_length": 7}, {"max_length": 40, "do_lower_case": True}):
        found, whole = HostTokenizer(stored, **options), HostTokenizer(expected, **options)
        for text in (*PROBE, *TEXTS):
            assert found([text]) == whole([text])
        assert found(TEXTS) == whole(TEXTS)
        assert found.count_tokens(TEXTS) == whole.count_tokens(TEXTS)
        assert found.prompt_length("query: ") == whole.prompt_length("query: ")
        assert found.describe() == whole.describe()


@pytest.mark.parametrize("name", ["bert", "distilbert", "small english", "minilm"])
def test_a_bert_tokenizer_is_read_without_transformers(name: str, request: pytest.FixtureRequest) -> None:
    path = {"small english": find_bundled_model()}.get(name, FIXTURES / name)
    path = request.getfixturevalue("minilm_path") if name == "minilm" else path
    stored = read_stored_tokenizer(path)
    assert stored is not None
    check_is_same(stored, path)
    assert HostTokenizer(stored, max_length=9).tokenizer.get_vocab() == stored.get_vocab()


@pytest.mark.parametrize("name", ["bert", "mpnet", "roberta", "xlm_roberta"])
def test_what_tfchain_saves_it_reads_without_transformers(name: str, tmp_path: Path) -> None:
    saved = HostTokenizer(load_tokenizer(FIXTURES / name), max_length=12)
    saved.save(tmp_path)
    shutil.copy(FIXTURES / name / "config.json", tmp_path)
    notes = note_tokenizer(saved.source, tmp_path)
    assert notes is not None
    stored = read_stored_tokenizer(tmp_path, json.loads(json.dumps(notes)))
    assert stored is not None
    assert stored.model_max_length == 12
    check_is_same(stored, tmp_path)
    assert note_tokenizer(stored, tmp_path) == notes


def change(path: Path, name: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads((path / name).read_text())
    edit(values)
    (path / name).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        # transformers builds the normalizer of its own settings, whatever tokenizer.json says
        ("tokenizer_config.json", lambda values: values.update(do_lower_case=False)),
        ("tokenizer_config.json", lambda values: values.update(strip_accents=False)),
        ("tokenizer.json", lambda values: values["normalizer"].update(handle_chinese_chars=False)),
        ("tokenizer.json", lambda values: values["model"].update(max_input_chars_per_word=5)),
        ("tokenizer.json", lambda values: values["added_tokens"].pop()),
        ("tokenizer.json", lambda values: values["added_tokens"][4].update(lstrip=True)),
        ("tokenizer.json", lambda values: values["post_processor"]["single"].pop(0)),
        ("tokenizer.json", lambda values: values.update(pre_tokenizer={"type": "Whitespace"})),
        ("tokenizer_config.json", lambda values: values.update(cls_token="[MASK]")),
        ("tokenizer_config.json", lambda values: values.update(extra_special_tokens=["cat"])),
        ("tokenizer_config.json", lambda values: values.update(split_special_tokens=True)),
        ("tokenizer_config.json", lambda values: values.update(something_new=1)),
        ("tokenizer_config.json", lambda values: values.update(truncation_side="left")),
        ("tokenizer_config.json", lambda values: values.update(tokenizer_class="RobertaTokenizer")),
        ("config.json", lambda values: values.update(model_type="electra")),
    ],
)
def test_where_transformers_might_read_a_folder_otherwise_it_is_asked(
    tmp_path: Path, name: str, edit: Callable[[dict[str, Any]], Any]
) -> None:
    path = tmp_path / "model"
    shutil.copytree(FIXTURES / "bert", path)
    assert read_stored_tokenizer(path) is not None
    change(path, name, edit)
    assert read_stored_tokenizer(path) is None


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\x00"])
def test_a_damaged_tokenizer_is_left_to_transformers_to_explain(tmp_path: Path, content: str) -> None:
    path = tmp_path / "model"
    shutil.copytree(FIXTURES / "bert", path)
    (path / "tokenizer.json").write_text(content)
    assert read_stored_tokenizer(path) is None


def test_transformers_reads_it_when_its_folder_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "model"
    shutil.copytree(FIXTURES / "bert", path)
    stored = read_stored_tokenizer(path)
    assert stored is not None
    shutil.rmtree(path)
    tokenizer = stored.load()
    assert tokenizer is stored.load()
    assert tokenizer(["the cat"])["input_ids"] == HostTokenizer(stored, max_length=9)(["the cat"])
