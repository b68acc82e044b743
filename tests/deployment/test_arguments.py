import math
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError, ServerError, TfchainError
from tfchain.deployment.arguments import (
    check_address,
    check_base_path,
    check_model_name,
    check_ports,
    check_timeout,
    check_workers,
)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", ".", "..", "a\0b", "\ud800", 5, None, Path("a")])
def test_a_name_that_requests_cannot_carry_is_refused(name: Any) -> None:
    with pytest.raises(InputError, match="`name` must be a name without / or :"):
        check_model_name(name, argument="name")


def test_other_names_are_fine() -> None:
    for name in ("search", "a b", "你好", "a.b", "-x"):
        check_model_name(name)


@pytest.mark.parametrize("port", [-1, 65536, "80", 1.0, None, True])
def test_what_is_not_a_port_is_refused(port: Any) -> None:
    with pytest.raises(InputError, match="`rest_port` must be a whole number from 0 to 65535. Received: rest_port="):
        check_address("127.0.0.1", {"port": 0, "rest_port": port})


def test_two_ports_must_differ_unless_the_system_chooses() -> None:
    check_address("localhost", {"port": 0, "rest_port": 0})
    check_address("localhost", {"port": 65535, "rest_port": 1})
    with pytest.raises(InputError, match="`port` and `rest_port` must differ. Received: 7 for both"):
        check_address("localhost", {"port": 7, "rest_port": 7})


@pytest.mark.parametrize("host", ["", None, 5, "a\0b", "\ud800"])
def test_what_is_not_a_host_is_refused(host: Any) -> None:
    with pytest.raises(InputError, match="`host` must be an address"):
        check_address(host, {"port": 0})


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "5", None, True])
def test_a_timeout_is_a_number_above_0(seconds: Any) -> None:
    with pytest.raises(InputError, match="`timeout_seconds` must be a number above 0. Received: timeout_seconds="):
        check_timeout(seconds)
    check_timeout(0.2)


@pytest.mark.parametrize("workers", [0, -1, 1025, 2.0, "2", None, True])
def test_workers_are_a_whole_number_from_1(workers: Any) -> None:
    with pytest.raises(InputError, match="`workers` must be a whole number from 1 to 1024. Received: workers="):
        check_workers(workers)
    check_workers(1)


def test_a_port_in_use_and_a_foreign_host_are_named_and_free_ones_are_not() -> None:
    check_ports("127.0.0.1", 0, 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            check_ports("127.0.0.1", 0, port)
    check_ports("127.0.0.1", port)
    for host in ("203.0.113.1", "no.such.host.invalid", "x" * 300):
        with pytest.raises(ServerError, match=f"cannot listen on {host}:0: .*Nothing was exported"):
            check_ports(host, 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_an_address_of_ipv6_is_one_to_listen_on() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ServerError, match=rf"cannot listen on \[::1\]:{port}: Address already in use"):
                check_ports("::1", port)
    except OSError:
        pytest.skip("needs an address of IPv6")
    check_ports("::1", port)


def test_a_base_path_that_is_there_or_can_be_made_is_fine(tmp_path: Path) -> None:
    assert check_base_path(tmp_path) == tmp_path
    assert check_base_path(str(tmp_path / "new" / "deep")) == tmp_path / "new" / "deep"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_is_no_base_path_and_holds_none(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=f"Received: {tmp_path}/file.*, where {tmp_path}/file is not a folder"):
        check_base_path(tmp_path / "file" / below)


def test_a_link_to_nothing_is_no_base_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match=f"where {tmp_path}/link is not a folder"):
        check_base_path(tmp_path / "link")


@pytest.mark.parametrize("path", ["", "a\0b", 5, None, ["a"]])
def test_what_is_not_a_path_is_refused(path: Any) -> None:
    with pytest.raises(InputError, match="A base path must be a folder's path. Received: "):
        check_base_path(path)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def access(place: Path, mode: int) -> bool:  # root may write everywhere
        asked.append((place, mode))
        return False

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(TfchainError, match=f"Could not write {tmp_path}/a/b: {tmp_path} does not allow it"):
        check_base_path(tmp_path / "a" / "b")
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]


def test_a_name_that_no_disk_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TfchainError, match="File name too long"):
        check_base_path(tmp_path / ("x" * 300))
