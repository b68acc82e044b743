"""The part of Helm's templates that the charts use: values, `quote`, `toYaml | nindent`, `if`, `if not`, `with`."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

ACTION = re.compile(r"(\s*)(\{\{-?) *(.*?) *(-?\}\})", re.DOTALL)


def render(template: str, values: Mapping[str, Any], *, name: str, namespace: str) -> str:
    """The text of a template; an action that is not in the subset is an error."""
    scope = {"Values": dict(values), "Release": {"Name": name, "Namespace": namespace}}
    text, rest = render_block(template, scope, scope)
    assert not rest, rest
    return text


def render_block(template: str, scope: Mapping[str, Any], dot: Any) -> tuple[str, str]:
    """Renders up to the `end` of the block, or to the end; returns the text and what follows it."""
    done = ""
    while match := ACTION.search(template):
        space, opening, action, closing = match.groups()
        done += template[: match.start()] + ("" if opening == "{{-" else space)
        template = template[match.end() :]
        assert closing == "}}", "the charts do not trim to the right"
        if action == "end":
            return done, template
        if action.startswith(("if ", "with ")):
            word, _, condition = action.partition(" ")
            is_not = condition.startswith("not ")
            value = look_up(condition.removeprefix("not "), scope, dot)
            inner, template = render_block(template, scope, value if word == "with" else dot)
            done += inner if bool(value) != is_not else ""
        else:
            done += evaluate(action, scope, dot)
    return done + template, ""


def evaluate(action: str, scope: Mapping[str, Any], dot: Any) -> str:
    first, *filters = [part.strip() for part in action.split("|")]
    if first.startswith("toYaml "):
        value = look_up(first.removeprefix("toYaml "), scope, dot)
        (count,) = re.fullmatch(r"nindent (\d+)", filters.pop(0)).groups()  # type: ignore[union-attr]
        lines = yaml.safe_dump(value, sort_keys=True).rstrip("\n").splitlines()
        assert not filters
        return "".join(f"\n{' ' * int(count)}{line}" for line in lines)
    value = look_up(first, scope, dot)
    if filters == ["quote"]:
        return json.dumps(value)
    assert not filters, filters
    return str(value).lower() if isinstance(value, bool) else str(value)


def look_up(name: str, scope: Mapping[str, Any], dot: Any) -> Any:
    if name == ".":
        return dot
    value: Any = scope
    for part in name.removeprefix(".").split("."):
        assert part in value, f"{name} is not in the values"
        value = value[part]
    return value
