"""Whether a server runs a version: the error names op, signature and the way out."""

from pathlib import Path

import pytest

from tests.deployment.targets.served_versions import make_served_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.version_checks import check_engine, check_names, check_stock_server


def test_a_release_with_all_ops_is_taken() -> None:
    for task in ("search", "classification", "reranking"):
        check_stock_server(make_served_version(task), "tensorflow/serving:2.20.0")


def test_an_older_release_is_refused_with_op_signature_and_way_out() -> None:
    ops = ("MatMul", "TFText>RoundRobinTrim")
    version = make_served_version(signatures={"embed_ids": ("MatMul",), "rerank": ops}, ops=ops)

    with pytest.raises(InputError) as caught:
        check_stock_server(version, "tensorflow/serving:2.19.1")

    assert str(caught.value) == (
        "tensorflow/serving:2.19.1 cannot run version 3 of docs: its signature 'rerank' needs the op "
        "'TFText>RoundRobinTrim', which TensorFlow Serving 2.20 has first. Take an image of TensorFlow Serving 2.20 or "
        "newer, or export with signatures='ids', which has no op for texts."
    )
    check_stock_server(version, "tensorflow/serving:2.20.0")
    check_stock_server(version, "registry.example.com/own:5")  # whose release nobody knows


def test_a_custom_op_is_refused_by_every_image() -> None:
    version = make_served_version(ops=("MyOp",), signatures={"serving_default": ("MyOp",)})

    with pytest.raises(InputError, match="needs the op 'MyOp', which no known release has"):
        check_stock_server(version, "registry.example.com/own:5")


def test_functions_for_xla_are_refused() -> None:
    with pytest.raises(InputError, match="has XLA functions .f., and XLA is off in"):
        check_stock_server(make_served_version(compiled=("f",)), "tensorflow/serving:2.20.0")


def test_an_engine_without_its_files_is_refused() -> None:
    check_engine(make_served_version(engines=("tensorflow", "native")), "native")
    check_engine(make_served_version(), "auto")
    with pytest.raises(
        InputError, match="`engine` must be one that answers version 3 of docs: auto, tensorflow. Received"
    ):
        check_engine(make_served_version(), "native")


def test_names_that_no_path_or_command_holds_are_refused() -> None:
    check_names(make_served_version())
    for name in ("two words", "a$(b)", "{{ .Values }}", "文档"):
        with pytest.raises(InputError, match="`model_name` must have letters, digits"):
            check_names(make_served_version(model_name=name))
    for number, folder in ((3, "003"), (0, "0"), (-1, "-1")):
        with pytest.raises(InputError, match="must be named by a number from 1 on"):
            check_names(make_served_version(number=number, path=Path("docs") / folder))
