"""Server reflection: tools such as grpcurl ask a server for its services and messages."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SERVICE = "grpc.reflection.v1alpha.ServerReflection"
_SERVICE_V1 = "grpc.reflection.v1.ServerReflection"  # the same messages by another name
_MOST_STREAMS = 4


def add_reflection(server: Any, services: Sequence[str]) -> ThreadPoolExecutor:
    """Adds the service to a server, in both of its versions.

    Args:
        server: The gRPC server, not yet started.
        services: The full names of the server's other services.

    Returns:
        The threads of reflection; shut them down with the server. A client may hold a stream open as long as it likes,
        so these streams do not take the threads of the requests.
    """
    import grpc
    from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

    threads = ThreadPoolExecutor(_MOST_STREAMS, thread_name_prefix="reflection")

    class Servicer(reflection.ReflectionServicer):
        def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> Any:
            return super().ServerReflectionInfo(request_iterator, context)

        ServerReflectionInfo.experimental_thread_pool = threads  # type: ignore[attr-defined]

    servicer = Servicer((*services, SERVICE))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE_V1, {"ServerReflectionInfo": handler}),)
    )
    return threads
