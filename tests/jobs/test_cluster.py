"""TF_CONFIG from addresses, as TensorFlow's own resolver and the strategies read it."""

import json

import pytest

from tfchain.core.errors import InputError
from tfchain.jobs.cluster import make_tf_config
from tfchain.training.distributed.strategies import read_tf_config


def test_tf_config_names_all_workers_and_this_one() -> None:
    text = make_tf_config(["node-a:2222", "10.0.0.5:2223", "[::1]:2224"], 2)

    assert json.loads(text) == {
        "cluster": {"worker": ["node-a:2222", "10.0.0.5:2223", "[::1]:2224"]},
        "task": {"type": "worker", "index": 2},
    }
    assert read_tf_config({"TF_CONFIG": text}) == json.loads(text)


@pytest.mark.parametrize(
    ("hosts", "index", "words"),
    [
        (["a"], 0, "must be host:port. Received: 'a'"),
        (["a:0"], 0, "Received: 'a:0'"),
        (["a:65536"], 0, "Received: 'a:65536'"),
        (["a:1", ""], 0, "Received: ''"),
        (["a b:1"], 0, "Received: 'a b:1'"),
        (["a:1", "a:1"], 0, "must have its own address"),
        (["a:1", "b:1"], 2, "one of 0 to 1, as there are 2 addresses. Received: 2"),
        (["a:1"], -1, "Received: -1"),
    ],
)
def test_a_cluster_that_cannot_be_is_an_error(hosts: list[str], index: int, words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_tf_config(hosts, index)

    assert words in str(caught.value)
