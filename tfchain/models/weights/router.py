"""Reads sentence-transformers' Router (Asym in old folders): modules of their own for queries and for documents."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.json_file import read_json

KINDS = ("Router", "Asym")
FILES = ("router_config.json", "config.json")  # the second in old folders
TEXT = "text"

Modules = list[dict[str, Any]]  # as in modules.json: `type` and `path`


def has_router(listed: Sequence[Mapping[str, Any]]) -> bool:
    """Returns whether the first module of a folder is a Router."""
    return bool(listed) and str(listed[0]["type"]).rsplit(".", 1)[-1] in KINDS


def list_modules(path: Path) -> list[tuple[str, Path]]:
    """Returns the kind and the folder of each module of a model; of a Router, a document's and then a query's.

    None of a folder that cannot be read: `read_folder` says why.
    """
    try:
        listed = read_json(path / "modules.json", needed=False)
        if has_router(listed):
            documents, queries = read_routes(path, listed)
            listed = [*documents, *queries]
        return [(str(module["type"]).rsplit(".", 1)[-1], path / str(module["path"])) for module in listed]
    except (KeyError, TypeError, AttributeError, ValueError, ModelFolderError):
        return []


def read_routes(path: Path, listed: Sequence[Mapping[str, Any]]) -> tuple[Modules, Modules]:
    """Returns the modules of a document and of a query, each as modules.json would list them.

    Args:
        path: The folder.
        listed: The content of modules.json; its first module is a Router, and the others follow both routes.

    Raises:
        ModelFolderError: if there is no such route, or `encode` without a role would take another route than documents.
    """
    place = str(listed[0]["path"])
    name = next((name for name in FILES if (path / place / name).is_file()), FILES[0])
    values = read_json(path / place / name)
    types, structure, parameters = values["types"], values["structure"], values.get("parameters") or {}
    mappings = {ast.literal_eval(key): route for key, route in (parameters.get("route_mappings") or {}).items()}
    default = parameters.get("default_route")
    if default is None and parameters.get("allow_empty_key", True):
        default = next(iter(structure))

    def find(task: str | None) -> str:
        keys = ((task, TEXT), (task, None), (None, TEXT), (None, None))
        route = next((mappings[key] for key in keys if key in mappings), None)
        found = route or next((name for name in (task, TEXT) if name in structure), default if task is None else None)
        if found not in structure:
            raise ModelFolderError(
                f"The Router of {path} must have a route for {task or 'texts without a role'}. "
                f"Received: routes {', '.join(map(repr, structure))}. Use another model."
            )
        return str(found)

    document, query = find("document"), find("query")
    if find(None) != document:
        raise ModelFolderError(
            f"The Router of {path} must take the documents' route, {document!r}, for texts without a role. "
            f"Received: {find(None)!r}. Use another model."
        )
    following = [dict(module) for module in listed[1:]]
    made = []
    for route in (document, query):
        own = [{"type": types[module], "path": str(Path(place) / module)} for module in structure[route]]
        made.append([*own, *following])
    return made[0], made[1]
