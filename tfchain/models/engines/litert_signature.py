"""Signature metadata in a LiteRT flatbuffer, as TensorFlow Serving's `--prefer_tflite_model` reads it."""

from typing import Any

import numpy as np

METADATA = "signature_defs_metadata"  # tensorflow/lite/tools/signature/signature_def_util.h
PREDICT = "tensorflow/serving/predict"
ALIGNMENT = 16  # `force_align` of Buffer.data in LiteRT's schema, which the generated Python code leaves out


def add_signature_metadata(flatbuffer: bytes) -> bytes:
    """Names a flatbuffer's inputs and outputs after its only signature, and adds that signature's metadata.

    TensorFlow Serving does not read LiteRT's own signatures: it reads serialized `SignatureDef`s by name from a map in
    the model's metadata, and looks for the tensors that they name.

    Args:
        flatbuffer: A model with one signature.

    Returns:
        The model with the metadata.
    """
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    (signature,) = model.signatureDefs
    graph = model.subgraphs[signature.subgraphIndex]
    for tensors in (signature.inputs, signature.outputs):
        for tensor in tensors:
            graph.tensors[tensor.tensorIndex].name = tensor.name
    metadata = schema.MetadataT()
    metadata.name, metadata.buffer = METADATA.encode(), len(model.buffers)
    described = schema.BufferT()
    described.data = np.frombuffer(_describe(signature), dtype="uint8")
    model.buffers.append(described)
    model.metadata = [*(model.metadata or []), metadata]
    model.buffers = [_AlignedBuffer(buffer) for buffer in model.buffers]

    builder = flatbuffers.Builder(len(flatbuffer) + 65_536)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _AlignedBuffer:
    """A buffer that is written at a multiple of 16 bytes, as LiteRT's converter writes it."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def Pack(self, builder: Any) -> int:
        """Writes the buffer; the schema's code calls it by this name."""
        from tensorflow.lite.python import schema_py_generated as schema

        place = None
        if self.buffer.data is not None:
            data = np.asarray(self.buffer.data, dtype="uint8").tobytes()
            builder.StartVector(1, len(data), ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            place = builder.EndVector()
        schema.BufferStart(builder)
        if place is not None:
            schema.BufferAddData(builder, place)
        return int(schema.BufferEnd(builder))


def _describe(signature: Any) -> bytes:
    """Returns the map from the signature's name to its `SignatureDef`, in the format FlexBuffers."""
    from flatbuffers import flexbuffers
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

    described = meta_graph_pb2.SignatureDef(method_name=PREDICT)
    for tensors, infos, dtype in (
        (signature.inputs, described.inputs, types_pb2.DT_INT32),
        (signature.outputs, described.outputs, types_pb2.DT_FLOAT),
    ):
        for tensor in tensors:
            # Without a shape, which the server takes from the tensor, the bytes are ASCII, as FlexBuffers' Python
            # writer needs for a string.
            info = infos[tensor.name.decode()]
            info.name, info.dtype = tensor.name.decode(), dtype
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key(signature.signatureKey.decode())
        builder.String(described.SerializeToString(deterministic=True).decode("ascii"))
    return bytes(builder.Finish())
