"""The options of the gRPC server."""

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.grpc.options import make_options, parse_channel_arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("grpc.so_reuseaddr=1", (("grpc.so_reuseaddr", 1),)),
        ("a=-5, b=text,c=", (("a", -5), ("b", "text"), ("c", ""))),
        ("a=1=2", (("a", "1=2"),)),
        ("a=2147483647,b=2147483648,c=1_0,d=1.5", (("a", 2147483647), ("b", "2147483648"), ("c", "1_0"), ("d", "1.5"))),
    ],
)
def test_whole_numbers_are_numbers_and_all_else_is_text(text: str, expected: tuple[tuple[str, int | str], ...]) -> None:
    assert parse_channel_arguments(text) == expected


@pytest.mark.parametrize("text", ["grpc.so_reuseaddr", "=1", "a=1,", "a=1,,b=2"])
def test_what_is_no_argument_is_named(text: str) -> None:
    with pytest.raises(InputError, match="--grpc_channel_arguments must be like"):
        parse_channel_arguments(text)


def test_an_argument_replaces_the_servers_own() -> None:
    options = dict(make_options((("grpc.so_reuseport", 1), ("x", "y")), max_connections=7))
    assert (options["grpc.so_reuseport"], options["x"]) == (1, "y")
    assert options["grpc.max_receive_message_length"] == 2**31 - 1
    assert options["grpc.max_allowed_incoming_connections"] == 7
    assert dict(make_options((), max_connections=7))["grpc.so_reuseport"] == 0
