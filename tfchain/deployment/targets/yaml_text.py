"""Manifests as text: the same values give the same bytes, keys in the order of their making, and no anchors."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text.rstrip("\n") or text.endswith("\n") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def to_yaml(value: Mapping[str, Any], *, comment: str = "") -> str:
    """Writes a value as YAML.

    Args:
        value: Plain values.
        comment: Lines for the top of the file. Default: none.
    """
    text: str = yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines()) + text


def to_yaml_documents(values: Iterable[Mapping[str, Any]], *, comment: str = "") -> str:
    """Writes several values into one file of YAML, with `---` between."""
    return "---\n".join(to_yaml(value, comment=comment if number == 0 else "") for number, value in enumerate(values))
