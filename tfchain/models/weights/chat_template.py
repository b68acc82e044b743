"""The chat template of a reranker's folder, read as text with three places: no template is run."""

import re
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.json_file import read_json

CHAT_TEMPLATE = "chat_template.jinja"
ROLES = ("query", "document")
# `messages | selectattr("role", "eq", "query") | map(attribute="content") | first`, and `(… | first).content`.
_SELECTED = r"""messages \| selectattr\(['"]role['"], ['"](?:eq|equalto|==)['"], ['"](?P<role>\w+)['"]\)"""
_TEXT = re.compile(
    rf"(?:{_SELECTED} \| map\(attribute=['\"]content['\"]\) \| first"
    rf"|\({_SELECTED.replace('role>', 'other>')} \| first\)\.content)"
    r"""(?: \| default\((?:"(?P<double>[^"\\]*)"|'(?P<single>[^'\\]*)')\))?"""
)
_EXPRESSION = re.compile(r"\{\{(-?)(.*?)(-?)\}\}", re.DOTALL)


@dataclass(frozen=True)
class ChatPrompt:
    """The text around a query and a document.

    Args:
        before: Before the query, an instruction included.
        between: Between query and document.
        after: After the document.
    """

    before: str
    between: str
    after: str


def read_chat_prompt(path: Path, instruction: str | None = None) -> ChatPrompt:
    """Reads the chat template in a folder.

    Jinja is not run. The template must consist of text and of places for the contents of the messages `system` (the
    instruction), `query` and `document`, as the templates of Qwen3-Reranker do.

    Args:
        path: The folder of the tokenizer.
        instruction: What stands in the place of `system`. Default: what the template says.

    Raises:
        ModelFolderError: if there is no template, or it has other parts.
    """
    template = _find_template(path)
    if template is None:
        raise ModelFolderError(
            f"{path} must have a chat template ({CHAT_TEMPLATE}) that puts a query and a document into one text. "
            "Received: none. Get the folder again."
        )
    return parse_chat_template(template, path, instruction)


def parse_chat_template(template: str, path: Path, instruction: str | None = None) -> ChatPrompt:
    """Parses a chat template; see `read_chat_prompt`.

    Args:
        template: The template.
        path: The folder, for error messages.
        instruction: What stands in the place of `system`. Default: what the template says.
    """
    template = re.sub(r"\r\n|\r", "\n", template)
    template = template.removesuffix("\n")  # as Jinja does
    texts, place, places = [""], 0, []
    strips = False
    for found in _EXPRESSION.finditer(template):
        literal = _strip(template[place : found.start()], strips, bool(found[1]))
        text = re.sub(r"\s+", " ", found[2].strip())
        matched = _TEXT.fullmatch(text)
        if matched is None:
            raise _make_error(path, found[0])
        _check_literal(literal, path)
        role, default = matched["role"] or matched["other"], matched["double"] or matched["single"] or ""
        texts[-1] += literal
        if role == "system":
            texts[-1] += default if instruction is None else instruction
        elif role in ROLES:
            places.append(role)
            texts.append("")
        else:
            raise _make_error(path, found[0])
        place, strips = found.end(), bool(found[3])
    end = _strip(template[place:], strips, False)
    _check_literal(end, path)
    texts[-1] += end
    if tuple(places) != ROLES:
        raise _make_error(path, f"places for {', '.join(places) or 'nothing'}")
    return ChatPrompt(*texts)


def _find_template(path: Path) -> str | None:
    file = path / CHAT_TEMPLATE
    if file.is_file():
        try:
            return file.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelFolderError(f"{file} is not UTF-8: {error}. Get the file again.") from error
    found = read_json(path / "tokenizer_config.json", needed=False).get("chat_template")
    if found is not None and not isinstance(found, str):
        raise _make_error(path, "several templates")
    return found


def _strip(literal: str, at_start: bool, at_end: bool) -> str:
    """Returns a literal without the white space that `-}}` before it or `{{-` behind it take away."""
    literal = literal.lstrip() if at_start else literal
    return literal.rstrip() if at_end else literal


def _check_literal(literal: str, path: Path) -> None:
    found = re.search(r"\{[{%#].{0,60}", literal, re.DOTALL)
    if found is not None:
        raise _make_error(path, found[0])


def _make_error(path: Path, received: str) -> ModelFolderError:
    return ModelFolderError(
        f"The chat template of {path} must be text with one place for the query and then one for the document, each "
        'written as {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}: tfchain '
        f"runs no templates. Received: {received:.120}. Write such a {CHAT_TEMPLATE}, or use another model."
    )
