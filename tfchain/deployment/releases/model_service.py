"""The ModelService of a running TensorFlow Serving, over gRPC: reloads its configuration, lists what answers."""

from pathlib import Path
from typing import Any

from tfchain.core.errors import ServerError
from tfchain.deployment.client.client import Client, RequestError
from tfchain.deployment.client.security import Security


class GrpcModelService:
    """A server's ModelService; close it, or use it in a `with` block.

    Args:
        grpc_target: The gRPC address, such as `127.0.0.1:8500`.
        timeout_seconds: The time limit of a call. Default: 60.
        ca_file: For a server with TLS, a PEM file of the certificates to trust.
        api_key: For a server with API keys, one of them.
    """

    def __init__(
        self,
        grpc_target: str,
        *,
        timeout_seconds: float = 60.0,
        ca_file: Path | str | None = None,
        api_key: str | None = None,
    ) -> None:
        self._target = grpc_target
        self._timeout_seconds = timeout_seconds
        self._security = Security(None, ca_file, None, None, api_key)
        self._client = Client(grpc_target, None, timeout_seconds=timeout_seconds, ca_file=ca_file, api_key=api_key)
        self._channel: Any = None

    def __enter__(self) -> "GrpcModelService":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def list_available(self, model: str) -> frozenset[int]:
        """Returns the versions of a model that answer now; none for a model that the server does not know.

        Raises:
            ServerError: if the server cannot be reached.
        """
        try:
            states = self._client.status(model, protocol="grpc")
        except RequestError as error:
            if error.code == "NOT_FOUND":
                return frozenset()
            raise ServerError(f"The server at {self._target} does not tell what it serves: {error}.") from error
        return frozenset(version for version, state in states.items() if state == "AVAILABLE")

    def reload(self, config: Any) -> None:
        """Replaces the configuration of all models.

        Raises:
            ServerError: if the server refuses it, or cannot be reached; it goes on as before then.
        """
        import grpc
        from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

        if self._channel is None:
            if self._security.has_grpc_tls:
                self._channel = grpc.secure_channel(self._target, self._security.make_credentials())
            else:
                self._channel = grpc.insecure_channel(self._target)
        stub = model_service_pb2_grpc.ModelServiceStub(self._channel)
        request = model_management_pb2.ReloadConfigRequest(config=config)
        metadata = [(name.lower(), value) for name, value in self._security.authorization.items()]
        try:
            stub.HandleReloadConfigRequest(request, timeout=self._timeout_seconds, metadata=metadata)
        except grpc.RpcError as error:
            raise ServerError(
                f"The server at {self._target} did not take the configuration: {error.code().name}: "
                f"{error.details() or 'no reason given'}. Check the base paths as the server sees them."
            ) from error
