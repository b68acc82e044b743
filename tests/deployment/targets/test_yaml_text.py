"""Manifests as text: they read back, keys stay in order, and the same value twice is written twice."""

import yaml

from tfchain.deployment.targets.yaml_text import to_yaml, to_yaml_documents


def test_a_manifest_reads_back_in_the_order_of_its_making() -> None:
    shared = {"app": "docs"}
    value = {"b": shared, "a": shared, "text": "one: 1\ntwo\n", "number": "3", "list": [{"x": 1, "y": [True]}]}
    text = to_yaml(value, comment="About it.\n")

    assert yaml.safe_load(text) == value
    assert text == (
        "# About it.\nb:\n  app: docs\na:\n  app: docs\ntext: |\n  one: 1\n  two\nnumber: '3'\n"
        "list:\n  - x: 1\n    y:\n      - true\n"
    )


def test_several_manifests_are_one_file() -> None:
    assert list(yaml.safe_load_all(to_yaml_documents([{"a": 1}, {"b": 2}]))) == [{"a": 1}, {"b": 2}]
