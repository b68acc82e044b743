"""Prompts and lengths by role."""

from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.models.text_roles import TextRoles
from tfchain.models.tokenizers.host import load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_model_path: Path) -> Any:
    return load_tokenizer(tiny_model_path)


def test_a_role_without_a_length_of_its_own_has_the_common_tokenizer(tokenizer: Any) -> None:
    roles = TextRoles(tokenizer, None, max_length=12, query_length=5)
    assert roles.find_tokenizer("query").max_length == 5
    assert roles.find_tokenizer("document") is roles.find_tokenizer(None)
    assert (roles.role_lengths, roles.longest) == ({"query_length": 5}, 12)
    assert TextRoles(tokenizer, None, max_length=12, document_length=20).longest == 20


@pytest.mark.parametrize(
    ("prompts", "query", "document"),
    [
        ({}, "", ""),
        ({"query": "q: ", "corpus": "c: ", "passage": "p: "}, "q: ", "p: "),
        ({"passage": "p: ", "document": "d: "}, "", "d: "),
    ],
)
def test_a_role_has_the_prompt_of_its_name(tokenizer: Any, prompts: dict[str, str], query: str, document: str) -> None:
    roles = TextRoles(tokenizer, None, max_length=8, prompts=prompts)
    assert (roles.query_prompt, roles.document_prompt) == (query, document)


def test_the_default_prompt_is_that_of_no_name(tokenizer: Any) -> None:
    roles = TextRoles(tokenizer, None, max_length=8, prompts={"query": "q: "}, default_prompt_name="query")
    assert (roles.find_prompt(None), roles.find_prompt("query")) == ("q: ", "q: ")
    with pytest.raises(InputError, match=r"`prompt_name` must be one of query\. Received: prompt_name='title'"):
        roles.find_prompt("title")


def test_settings_make_the_same_roles(tokenizer: Any) -> None:
    options: dict[str, Any] = {"max_length": 12, "document_length": 7, "prompts": {"a": "b"}}
    made = TextRoles(tokenizer, None, **options, default_prompt_name="a").settings()
    assert made == {**options, "default_prompt_name": "a", "do_lower_case": False}
    assert TextRoles(tokenizer, None, **made).settings() == made


def test_unknown_roles_and_default_prompts_are_refused(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="`role` must be 'query', 'document' or None. Received: role='title'"):
        TextRoles(tokenizer, None, max_length=8).find_tokenizer("title")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"`default_prompt_name` must be one of the prompts \(there are none\)"):
        TextRoles(tokenizer, None, max_length=8, default_prompt_name="query")
