"""The ops of a SavedModel by signature, read without TensorFlow: which answer needs which op."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.deployment.op_check import list_compiled, list_nodes
from tfchain.runtime.tf_protos import find_message

HIDDEN = "__"  # begins the names of signatures that a SavedModel keeps for itself, such as __saved_model_init_op
TAG = "serve"


@dataclass(frozen=True)
class GraphOps:
    """The ops of a SavedModel's graph for serving.

    Args:
        signatures: Signature → the ops that its outputs need, sorted.
        ops: All ops, sorted.
        compiled: Functions that must run through XLA, sorted.
    """

    signatures: Mapping[str, tuple[str, ...]]
    ops: tuple[str, ...]
    compiled: tuple[str, ...]


def read_graph_ops(path: Path) -> GraphOps:
    """Reads the ops of a SavedModel.

    Args:
        path: Its file `saved_model.pb`.

    Raises:
        InputError: if the file cannot be read, or has no graph for serving.
    """
    from google.protobuf.message import DecodeError

    try:
        model = find_message("tensorflow.SavedModel").FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise InputError(f"{path} is not a SavedModel: {error}. Export the version again.") from error
    graphs = [graph for graph in model.meta_graphs if TAG in graph.meta_info_def.tags]
    if not graphs:
        raise InputError(
            f"{path} has no graph with the tag {TAG!r}, which servers load. Received: "
            f"{[list(graph.meta_info_def.tags) for graph in model.meta_graphs]}. Save it with tf.saved_model.save."
        )
    walk = _Walk(graphs[0].graph_def)
    signatures = {
        name: tuple(sorted(walk.ops_of_outputs(info.name for info in proto.outputs.values())))
        for name, proto in sorted(graphs[0].signature_def.items())
        if not name.startswith(HIDDEN)
    }
    return GraphOps(signatures, walk.all_ops(), tuple(sorted(set(list_compiled(graphs[0].graph_def)))))


class _Walk:
    """Follows a graph from the outputs back, into the functions that its nodes call."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in graph.node}
        self._functions = {function.signature.name: function for function in graph.library.function}
        self._ops_of_function: dict[str, frozenset[str]] = {}

    def all_ops(self) -> tuple[str, ...]:
        return tuple(sorted({node.op for node in list_nodes(self._graph)} - self._functions.keys()))

    def ops_of_outputs(self, tensors: Iterator[str]) -> set[str]:
        waiting = [_node_of(tensor) for tensor in tensors]
        seen: set[str] = set()
        ops: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self._nodes:
                continue
            seen.add(name)
            node = self._nodes[name]
            ops |= self._ops_of_node(node)
            waiting += [_node_of(tensor) for tensor in node.input]
        return ops

    def _ops_of_node(self, node: Any) -> set[str]:
        called = [name for name in _list_called(node) if name in self._functions]
        ops = {node.op} - self._functions.keys()
        return ops.union(*(self._ops_in(name) for name in called))

    def _ops_in(self, function: str) -> frozenset[str]:
        if function not in self._ops_of_function:
            self._ops_of_function[function] = frozenset()  # a function that calls itself ends here
            nodes = self._functions[function].node_def
            self._ops_of_function[function] = frozenset().union(*(self._ops_of_node(node) for node in nodes))
        return self._ops_of_function[function]


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _list_called(node: Any) -> Iterator[str]:
    """Yields the names of functions that a node calls: its op, or functions among its attributes."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name
