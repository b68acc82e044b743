"""Finds the outputs of a graph that need XLA, which stock TensorFlow Serving has disabled and refuses to run."""

from collections.abc import Iterable, Mapping
from typing import Any

_MUST_COMPILE = "_XlaMustCompile"
_XLA_OPS = frozenset({"XlaCallModule", "XlaLaunch"})


def find_xla_outputs(graph_def: Any, tensor_names: Iterable[str]) -> frozenset[str]:
    """Finds the tensors whose computation runs an XLA-compiled function.

    Args:
        graph_def: The model's `GraphDef`, with its library of functions.
        tensor_names: The tensors to check, such as `StatefulPartitionedCall:0`.

    Returns:
        The tensors of `tensor_names` that cannot be computed without XLA.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    verdicts: dict[str, bool] = {}
    if not any(_function_needs_xla(name, functions, verdicts) for name in functions) and not any(
        _node_needs_xla(node, functions, verdicts) for node in graph_def.node
    ):
        return frozenset()
    nodes = {node.name: node for node in graph_def.node}
    return frozenset(name for name in tensor_names if _reaches_xla(name, nodes, functions, verdicts))


def _reaches_xla(
    tensor_name: str, nodes: Mapping[str, Any], functions: Mapping[str, Any], verdicts: dict[str, bool]
) -> bool:
    pending = [_node_name(tensor_name)]
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        if _node_needs_xla(nodes[name], functions, verdicts):
            return True
        pending.extend(_node_name(source) for source in nodes[name].input)
    return False


def _node_name(tensor_name: str) -> str:
    return tensor_name.removeprefix("^").split(":", 1)[0]


def _node_needs_xla(node: Any, functions: Mapping[str, Any], verdicts: dict[str, bool]) -> bool:
    if node.op in _XLA_OPS or (_MUST_COMPILE in node.attr and node.attr[_MUST_COMPILE].b):
        return True
    called = [node.op] if node.op in functions else []
    for value in node.attr.values():
        if value.HasField("func"):
            called.append(value.func.name)
        elif value.HasField("list"):
            called.extend(function.name for function in value.list.func)
    return any(_function_needs_xla(name, functions, verdicts) for name in called)


def _function_needs_xla(name: str, functions: Mapping[str, Any], verdicts: dict[str, bool]) -> bool:
    if name not in verdicts:
        function = functions.get(name)
        verdicts[name] = False  # ends the search if functions call each other in a cycle
        if function is not None:
            verdicts[name] = (_MUST_COMPILE in function.attr and function.attr[_MUST_COMPILE].b) or any(
                _node_needs_xla(node, functions, verdicts) for node in function.node_def
            )
    return verdicts[name]
