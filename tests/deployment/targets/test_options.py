"""A target's options from the command line's texts, and what is wrong with them."""

from dataclasses import dataclass

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.targets.options import describe_options, make_options, option


@dataclass(frozen=True)
class Options:
    server: str = option("stock", "which server")
    cpus: float | None = option(None, "cores")
    replicas: int = option(1, "copies")
    labels: tuple[str, ...] = option((), "labels")
    tls: bool = option(False, "whether TLS is on")
    keys: str | None = option(None, "a file of keys")


def test_texts_become_values_of_the_options_types() -> None:
    texts = {"server": "lean", "cpus": "1.5", "replicas": "3", "labels": "a=b, c=d", "tls": "true", "keys": "k.txt"}
    assert make_options("toy", Options, texts) == Options("lean", 1.5, 3, ("a=b", "c=d"), True, "k.txt")
    assert make_options("toy", Options, {"cpus": "none", "replicas": 2}) == Options(replicas=2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("serve", "lean", "The target toy has no option 'serve'. Did you mean 'server'?"),
        ("replicas", "many", "`replicas` must be a number. Received: replicas=many."),
        ("tls", "maybe", "`tls` must be true or false. Received: tls=maybe."),
    ],
)
def test_a_wrong_option_is_an_error(name: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_options("toy", Options, {name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("server", None, "`server` must be a text. Received: server=None."),
        ("server", True, "`server` must be a text. Received: server=True."),
        ("replicas", 1.5, "`replicas` must be a whole number. Received: replicas=1.5."),
        ("replicas", True, "`replicas` must be a whole number. Received: replicas=True."),
        ("tls", 1, "`tls` must be True or False. Received: tls=1."),
        ("keys", 3, "`keys` must be None or a text. Received: keys=3."),
    ],
)
def test_a_value_of_another_type_is_an_error(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_options("toy", Options, {name: value})


def test_a_number_is_taken_for_a_text_and_a_list_for_several() -> None:
    made = make_options("toy", Options, {"server": 2, "labels": ["a", "b"], "cpus": 2, "keys": None, "tls": True})
    assert made == Options("2", 2, 1, ("a", "b"), True)


def test_options_are_described_with_their_defaults() -> None:
    described = describe_options(Options)
    assert described["cpus"] == "cores  [default: none]"
    assert described["tls"] == "whether TLS is on  [default: false]"
