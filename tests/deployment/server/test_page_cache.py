"""Files that leave the page cache."""

import os
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from tests.conformance.any_models import save_graph
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.page_cache import drop_from_page_cache


def test_every_file_of_a_folder_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "variables").mkdir()
    for name in ("a", "variables/b"):
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    advise = MagicMock(wraps=os.posix_fadvise)
    monkeypatch.setattr(os, "posix_fadvise", advise)
    before = len(os.listdir("/proc/self/fd"))
    assert drop_from_page_cache(tmp_path) == 2
    assert len(os.listdir("/proc/self/fd")) == before
    assert [call.args[1:] for call in advise.call_args_list] == [(0, 0, os.POSIX_FADV_DONTNEED)] * 2
    monkeypatch.delattr(os, "posix_fadvise")
    assert drop_from_page_cache(tmp_path) == 0


@pytest.mark.parametrize("flushes", [True, False])
def test_the_server_drops_a_loaded_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flushes: bool) -> None:
    path = save_graph(tmp_path / "1")
    drop = MagicMock()
    monkeypatch.setattr("tfchain.deployment.server.model_server.drop_from_page_cache", drop)
    server = ModelServer(ServerOptions("m", tmp_path, flushes_page_cache=flushes))
    server._load("m", 1, path).close()
    assert [call.args for call in drop.call_args_list] == ([(path,)] if flushes else [])
