"""The client's gRPC transport, on the stubs of tensorflow-serving-api, which import TensorFlow at the first call."""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import ServerError
from tfchain.deployment.client.security import Security
from tfchain.deployment.client.transport import RequestError, Transport, decode_texts
from tfchain.runtime.fork import keep_forever, renew_after_fork

_MAX_MESSAGE_BYTES = 2**31 - 1


class GrpcTransport(Transport):
    """The gRPC transport: one channel for all threads, opened at the first call.

    Args:
        target: The address, such as `127.0.0.1:8500` or `unix:/path`.
        timeout_seconds: The time limit of a call.
        security: TLS and the API key. Default: neither.
    """

    def __init__(self, target: str, timeout_seconds: float, security: Security | None = None) -> None:
        self._target = target
        self._security = security or Security()
        self._metadata = tuple(self._security.authorization.items()) or None
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._channel: Any = None
        self._prediction: Any = None
        self._model: Any = None
        renew_after_fork(self)

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        model: str,
        signature: str | None,
        version: int | str | None,
        output_filter: Sequence[str],
    ) -> dict[str, np.ndarray]:
        """Sends the inputs unchanged."""
        self._open()
        from tensorflow_serving.apis import predict_pb2

        from tfchain.deployment.server.servables.tensor_proto import to_array, to_proto

        request = predict_pb2.PredictRequest(output_filter=output_filter)
        _fill_spec(request, model, version)
        request.model_spec.signature_name = signature or ""
        for name, array in inputs.items():
            to_proto(array, request.inputs[name], as_content=array.dtype != object)
        response = self._call(self._prediction.Predict, request)
        return {name: decode_texts(name, to_array(proto)) for name, proto in sorted(response.outputs.items())}

    def metadata(self, model: str, version: int | str | None) -> dict[str, Any]:
        """Requests the metadata, and converts it to REST's form."""
        self._open()
        from tensorflow_serving.apis import get_model_metadata_pb2

        from tfchain.deployment.server.json.proto import write_metadata

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        _fill_spec(request, model, version)
        response = self._call(self._prediction.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        spec = response.model_spec
        found: dict[str, Any] = json.loads(write_metadata(spec.name, spec.version.value, signatures.signature_def))
        return found

    def status(self, model: str, version: int | None) -> dict[int, str]:
        """Requests the status."""
        self._open()
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        _fill_spec(request, model, version)
        response = self._call(self._model.GetModelStatus, request)
        names = get_model_status_pb2.ModelVersionStatus.State
        return {entry.version: names.Name(entry.state) for entry in response.model_version_status}

    def close(self) -> None:
        """Closes the channel."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None

    def after_fork(self) -> None:
        """Leaves the channel to the parent process, whose threads use it; the next call opens a new channel."""
        self._lock = threading.Lock()
        if self._channel is not None:
            keep_forever(self._channel)
            self._channel = None

    def _open(self) -> None:
        with self._lock:
            if self._channel is not None:
                return
            import grpc
            from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

            options: list[tuple[str, int | str]] = [
                ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                # Else a fork's channel takes up a connection of the process that it comes from.
                ("grpc.use_local_subchannel_pool", 1),
            ]
            if self._security.has_grpc_tls:
                credentials = self._security.make_credentials()
                if self._target.startswith(("unix:", "unix-abstract:")):  # a socket is on this machine
                    options.append(("grpc.ssl_target_name_override", "localhost"))
                self._channel = grpc.secure_channel(self._target, credentials, options=options)
            else:
                self._channel = grpc.insecure_channel(self._target, options=options)
            self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
            self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def _call(self, method: Any, request: Any) -> Any:
        import grpc

        try:
            return method(request, timeout=self._timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            code, message = error.code().name, error.details() or ""
            if code == "UNAVAILABLE":
                raise ServerError(
                    f"The server at {self._target} cannot be reached: {message}. "
                    "Check the address, that both sides use TLS or neither does, and that the server is running."
                ) from error
            raise RequestError(code, message) from error


def _fill_spec(request: Any, model: str, version: int | str | None) -> None:
    request.model_spec.name = model
    if isinstance(version, str):
        request.model_spec.version_label = version
    elif version is not None:
        request.model_spec.version.value = version
