"""Chat templates of rerankers: the texts around query and document, and what is refused."""

import json
from pathlib import Path

import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.chat_template import ChatPrompt, parse_chat_template, read_chat_prompt

QUERY = '{{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}'
DOCUMENT = "{{ (messages | selectattr('role', 'eq', 'document') | first).content }}"
SYSTEM = """{{
    messages
    | selectattr("role", "eq", "system")
    | map(attribute="content")
    | first
    | default("Find it.")
}}"""


def parse(template: str, instruction: str | None = None) -> ChatPrompt:
    return parse_chat_template(template, Path("model"), instruction)


def test_the_texts_around_query_and_document() -> None:
    template = f"<start>\nTask: {SYSTEM}\nQ: {QUERY}\nD: {DOCUMENT}<end>\n\n"
    assert parse(template) == ChatPrompt("<start>\nTask: Find it.\nQ: ", "\nD: ", "<end>\n")  # Jinja drops one newline
    assert parse(template, "Sort.") == ChatPrompt("<start>\nTask: Sort.\nQ: ", "\nD: ", "<end>\n")
    assert parse(template, "") == ChatPrompt("<start>\nTask: \nQ: ", "\nD: ", "<end>\n")
    assert parse(template.replace("\n", "\r\n")) == parse(template)


def test_white_space_that_a_place_takes_away() -> None:
    stripped = QUERY.replace("{{", "{{-").replace("}}", "-}}")
    assert parse(f"a \n{stripped} \n b{DOCUMENT}") == ChatPrompt("a", "b", "")
    plain = QUERY.replace("query", "system")  # without a default
    assert parse(f"{plain}{QUERY}{DOCUMENT}") == ChatPrompt("", "", "")


@pytest.mark.parametrize(
    ("template", "received"),
    [
        (f"{DOCUMENT}{QUERY}", "places for document, query"),
        (QUERY, "places for query"),
        ("plain", "places for nothing"),
        (f"{QUERY}{QUERY}{DOCUMENT}", "places for query, query, document"),
        (f"{{% set a = 1 %}}{QUERY}{DOCUMENT}", "{% set a = 1 %}"),
        (f"{QUERY}{DOCUMENT}{{# note #}}", "{# note #}"),
        (f"{QUERY}{DOCUMENT}{{{{ ''.__class__ }}}}", "{{ ''.__class__ }}"),
        (f"{QUERY}{DOCUMENT}{{{{", "{{"),
        (QUERY.replace("query", "user") + DOCUMENT, '{{ messages | selectattr("role", "eq", "user")'),
    ],
)
def test_other_templates_are_refused(template: str, received: str) -> None:
    with pytest.raises(ModelFolderError, match="tfchain runs no templates") as error:
        parse(template)
    assert f"Received: {received}" in str(error.value)


def test_where_a_folder_has_its_template(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"must have a chat template \(chat_template\.jinja\)"):
        read_chat_prompt(tmp_path)
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(json.dumps({"chat_template": f"old {QUERY}{DOCUMENT}"}))
    assert read_chat_prompt(tmp_path).before == "old "
    settings.write_text(json.dumps({"chat_template": [{"name": "default", "template": "a"}]}))
    with pytest.raises(ModelFolderError, match="several templates"):
        read_chat_prompt(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(f"new {QUERY}{DOCUMENT}")
    assert read_chat_prompt(tmp_path).before == "new "
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(ModelFolderError, match="is not UTF-8"):
        read_chat_prompt(tmp_path)
