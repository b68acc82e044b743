"""The ports that workers share."""

import socket

import pytest

from tfchain.core.errors import ServerError
from tfchain.deployment.server.workers.sockets import SharedPorts


def test_the_system_chooses_ports_that_are_bound_and_do_not_listen() -> None:
    with SharedPorts("127.0.0.1", 0, 0) as ports:
        assert ports.rest_port is not None
        assert len({ports.grpc_port, ports.rest_port, 0}) == 3
        for port in (ports.grpc_port, ports.rest_port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
        assert socket.socket(fileno=socket.dup(ports.rest_fd)).getsockname()[1] == ports.rest_port
        ports.release()
        assert ports.rest_fd == -1


def test_without_rest_there_is_no_rest_socket() -> None:
    with SharedPorts("127.0.0.1", 0, None) as ports:
        assert (ports.rest_port, ports.rest_fd) == (None, -1)
        ports.release()


def test_a_worker_can_listen_on_the_grpc_port_and_its_supervisor_takes_no_connection() -> None:
    with SharedPorts("0.0.0.0", 0, None) as ports, socket.socket(socket.AF_INET6) as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        worker.bind(("::", ports.grpc_port))
        worker.listen()
        worker.settimeout(5)
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", ports.grpc_port), timeout=5):
                worker.accept()[0].close()


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("which", ["grpc", "rest"])
def test_a_port_that_another_program_listens_on_is_refused(which: str, is_shared: bool) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(is_shared))
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=f"Port {port} on 127.0.0.1 cannot be opened: Address already in use"):
            SharedPorts("127.0.0.1", *((port, None) if which == "grpc" else (0, port)))


def test_two_supervisors_cannot_share_a_grpc_port_before_their_workers_listen() -> None:
    ports = SharedPorts("127.0.0.1", 0, None)
    with pytest.raises(ServerError, match=f"Port {ports.grpc_port} on 127.0.0.1 .*another server with workers"):
        SharedPorts("127.0.0.1", ports.grpc_port, None)
    ports.close()
    with SharedPorts("127.0.0.1", ports.grpc_port, None) as again:
        assert again.grpc_port == ports.grpc_port
