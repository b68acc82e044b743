"""Writes sentence-transformers' Router, of two folders that it reads by themselves."""

import shutil
from pathlib import Path

from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.save_pretrained import write

ROUTES = ("query", "document")  # in the order in which sentence-transformers writes them
SETTINGS = "config_sentence_transformers.json"
MODULES = "modules.json"


def join_routes(path: Path) -> None:
    """Makes one folder with a Router of the folders `query` and `document` in it.

    A model of sentence-transformers has its prompts once: the one for queries is that of the folder `query`, and
    everything else is that of `document`.

    Args:
        path: The folder. Its folders `query` and `document` were written by `save_encoder`; they are replaced by one
            for each module.
    """
    settings = {route: read_json(path / route / SETTINGS) for route in ROUTES}
    types: dict[str, str] = {}
    structure: dict[str, list[str]] = {}
    for route in ROUTES:
        structure[route] = _move_modules(path / route, types)
    prompts, own = settings["document"]["prompts"], settings["query"]["prompts"]
    if "query" in prompts or "query" in own:
        prompts["query"] = own.get("query", "")
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    write(path / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})
    write(path / MODULES, [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}])
    write(path / SETTINGS, settings["document"])


def _move_modules(folder: Path, types: dict[str, str]) -> list[str]:
    """Moves the modules of a folder beside it, adds their types, and returns their names; removes the folder."""
    listed = read_json(folder / MODULES)
    names = []
    for number, module in reversed(list(enumerate(listed))):  # the first one's files are the folder's own
        name = f"{folder.name}_{number}_{module['type'].rsplit('.', 1)[-1]}"
        if module["path"]:
            (folder / module["path"]).rename(folder.parent / name)
        else:
            (folder / MODULES).unlink()
            (folder / SETTINGS).unlink()
            shutil.move(folder, folder.parent / name)
        names.append(name)
        types[name] = module["type"]
    return names[::-1]
