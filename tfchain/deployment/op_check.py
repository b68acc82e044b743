"""Compares a SavedModel's ops with those of stock TensorFlow Serving, before it is served."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from tfchain.core.errors import ExportError

# Ops of TF Text that stock TensorFlow Serving links, with the oldest release that has them (tensorflow_serving's
# model_servers/BUILD and the TF Text release that each server pins).
OLDEST_SERVERS = {
    "CaseFoldUTF8": "2.8",
    "ConstrainedSequence": "2.8",
    "DecodeWebP": "2.20",  # of TensorFlow itself, and newer than the others
    "FastBertNormalize": "2.12",
    "FastWordpieceTokenizeWithOffsets": "2.8",
    "FindSourceOffsets": "2.8",
    "MaxSpanningTree": "2.8",
    "NormalizeUTF8": "2.8",
    "NormalizeUTF8WithOffsetsMap": "2.8",
    "RegexSplitWithOffsets": "2.8",
    "RougeL": "2.8",
    "SentenceFragments": "2.8",
    "SentenceFragmentsV2": "2.8",
    "SentencepieceDetokenizeOp": "2.8",
    "SentencepieceIdToStringOp": "2.8",
    "SentencepieceOp": "2.8",
    "SentencepieceStringToIdOp": "2.8",
    "SentencepieceTokenizeOp": "2.8",
    "SentencepieceTokenizeWithOffsetsOp": "2.8",
    "SentencepieceVocabSizeOp": "2.8",
    "SplitMergeTokenizeWithOffsets": "2.8",
    "TFText>FastWordpieceDetokenize": "2.8",
    "TFText>NgramsStringJoin": "2.8",
    "TFText>RoundRobinGenerateMasks": "2.20",
    "TFText>RoundRobinTrim": "2.20",
    "TFText>Utf8Binarize": "2.20",
    "TFText>WhitespaceTokenizeWithOffsetsV2": "2.8",
    "TokenizerFromLogits": "2.8",
    "UnicodeScriptTokenizeWithOffsets": "2.8",
    "WhitespaceTokenizeWithOffsets": "2.8",
    "WordpieceTokenizeWithOffsets": "2.8",
}
PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
XLA_OPS = frozenset({"XlaCallModule", "XlaLaunch"})
CORE_OPS_SERVER = "2.20"  # the release whose core ops core_ops.txt lists


@dataclass(frozen=True)
class OpReport:
    """The requirements of a SavedModel.

    Args:
        ops: The names of its ops, sorted.
        oldest_server: The oldest TensorFlow Serving known to have all of its TF Text ops.
    """

    ops: list[str]
    oldest_server: str


def check_ops(path: Path | str) -> OpReport:
    """Raises if a SavedModel's graphs have ops that stock TensorFlow Serving does not run.

    Args:
        path: The SavedModel's folder.

    Raises:
        ExportError: if it has a custom op, an op newer than TensorFlow 2.20, a Python function or an XLA function.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes())
    graphs = [meta_graph.graph_def for meta_graph in saved_model.meta_graphs]
    functions = {function.signature.name for graph in graphs for function in graph.library.function}
    ops = sorted({node.op for graph in graphs for node in list_nodes(graph)} - functions)
    compiled = sorted({function for graph in graphs for function in list_compiled(graph)})
    compiled += sorted(XLA_OPS.intersection(ops))
    if compiled:
        raise ExportError(
            f"The model has XLA functions ({', '.join(compiled[:3])}), which stock TensorFlow Serving refuses to run: "
            "XLA is off there. Leave jit_compile out, and use Keras with its TensorFlow backend."
        )
    python = sorted(PYTHON_OPS.intersection(ops))
    if python:
        raise ExportError(f"The model calls Python ({', '.join(python)}), which servers lack. Use TensorFlow ops.")
    unknown = [op for op in ops if op not in OLDEST_SERVERS and op not in core_ops()]
    if unknown:
        raise ExportError(
            f"The model has ops that TensorFlow Serving {CORE_OPS_SERVER} does not have: {', '.join(unknown)}. "
            "Replace them, or export with signatures='ids'."
        )
    needed = [OLDEST_SERVERS[op] for op in ops if op in OLDEST_SERVERS]
    return OpReport(ops, max(needed, key=read_release, default="2.8"))


def list_nodes(graph: Any) -> Iterator[Any]:
    """Yields all nodes of a graph and of its functions."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def list_compiled(graph: Any) -> Iterable[str]:
    """Yields the names of functions and nodes that must run through XLA."""
    for function in graph.library.function:
        if function.attr["_XlaMustCompile"].b:
            yield function.signature.name
    for node in list_nodes(graph):
        if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b:
            yield node.name


@cache
def core_ops() -> frozenset[str]:
    """Returns the ops that TensorFlow 2.20 itself registers."""
    text = resources.files("tfchain.deployment").joinpath("core_ops.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def read_release(version: str) -> tuple[int, ...]:
    """Returns the numbers of a release, such as `(2, 20)` for `2.20`, to compare releases by."""
    return tuple(int(part) for part in version.split("."))
