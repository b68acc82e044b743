"""Versions as small as can be, written without TensorFlow: signatures with the ops that they are to have."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.native import NATIVE_FOLDER
from tfchain.deployment.repository import DESCRIPTION
from tfchain.runtime.tf_protos import find_message

SEARCH_OPS = ("RegexSplitWithOffsets", "MatMul", "TopKV2")


def write_small_version(
    path: Path,
    *,
    signatures: Mapping[str, Sequence[str]] | None = None,
    description: Mapping[str, Any] | None = None,
    native: Sequence[str] = (),
) -> Path:
    """Writes a version's folder.

    Args:
        path: The folder, `<base path>/<number>`.
        signatures: Signature → its ops, each in a function that the signature calls. Default: a search's.
        description: What its export recorded. Default: a search of three documents.
        native: The signatures of the native engine. Default: it has no files for it.
    """
    signatures = {"serving_default": SEARCH_OPS, "embed": SEARCH_OPS[:2]} if signatures is None else signatures
    model = find_message("tensorflow.SavedModel")()
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    for name, ops in signatures.items():
        function = graph.graph_def.library.function.add()
        function.signature.name = f"__inference_{name}"
        for number, op in enumerate(ops):
            function.node_def.add(name=f"node_{number}", op=op)
        graph.graph_def.node.add(name=f"{name}_text", op="Placeholder")
        call = graph.graph_def.node.add(name=f"call_{name}", op="StatefulPartitionedCall", input=[f"{name}_text"])
        call.attr["f"].func.name = function.signature.name
        signature = graph.signature_def[name]
        signature.method_name = "tensorflow/serving/predict"
        signature.inputs["text"].name = f"{name}_text:0"
        signature.outputs["scores"].name = f"call_{name}:0"
    (path / DESCRIPTION).parent.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(model.SerializeToString())
    values = {"task": "search", "documents": 3, "fingerprint": "abc123"} if description is None else dict(description)
    if native:
        (path / NATIVE_FOLDER).mkdir()
        (path / NATIVE_FOLDER / "native.json").write_text(json.dumps({"signatures": {name: {} for name in native}}))
    (path / DESCRIPTION).write_text(json.dumps(values))
    return path
