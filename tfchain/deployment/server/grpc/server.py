"""The gRPC server: PredictionService and ModelService, on the stubs of tensorflow-serving-api."""

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.server.admission import Gate
from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.grpc.admission import AdmissionInterceptor
from tfchain.deployment.server.grpc.authentication import FarewellInterceptor, KeyInterceptor
from tfchain.deployment.server.grpc.farewell import Farewell
from tfchain.deployment.server.grpc.health import Health
from tfchain.deployment.server.grpc.inference import answer_classify, answer_multi_inference, answer_regress
from tfchain.deployment.server.grpc.options import Argument, make_options
from tfchain.deployment.server.grpc.reflection import add_reflection
from tfchain.deployment.server.grpc.reload import Reload, answer_reload
from tfchain.deployment.server.grpc.requests import GRPC_CODES, decode_input, to_model_spec
from tfchain.deployment.server.grpc.spans import TracingInterceptor
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.metrics.serving import Call, ServingMetrics
from tfchain.deployment.server.observing.predictions import observe_prediction
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.predict import predict
from tfchain.deployment.server.servables.tensor_proto import to_proto
from tfchain.deployment.server.status import (
    Code,
    StatusError,
    cut_grpc_message,
    invalid_argument,
    not_supported_yet,
    to_status,
)
from tfchain.deployment.server.tls import TlsConfig
from tfchain.deployment.server.tracing import RequestTracer

Answer = Callable[[Any, grpc.ServicerContext], Any]
_SIGNATURE_DEF = "signature_def"
_FOREVER_SECONDS = 10.0 * 365 * 24 * 3600  # without a deadline, gRPC reports centuries


class GrpcServer:
    """Serves the manager's models over gRPC; owns its ports and its threads.

    Args:
        manager: The manager of the models.
        addresses: The addresses, such as `127.0.0.1:8500` (port 0 lets the system choose) or `unix:/path`.
        num_threads: The number of requests that run at the same time.
        as_content: Whether answers contain raw bytes instead of typed lists of numbers. Default: False.
        reload: Takes another configuration of the models. Default: None, the server serves what it serves.
        arguments: Options of gRPC's own, by name. Default: none.
        tls: The key and certificate of all addresses, or None for gRPC in clear.
        has_health: Whether to serve `grpc.health.v1.Health`. Default: False.
        keys: The keys that calls must carry, or None to let every call in.
        metrics: Counts the calls. Default: metrics of its own.
        collect: Returns the metrics of all workers, where there are several. Default: those of `metrics`.
        limits: The limits of requests. Default: those of `RequestLimits`.
        gate: Counts the requests that run or wait, those of REST too. Default: one for this server alone.
        tracer: Makes a span of each call. Default: none.
        watch: Observes the texts that are answered. Default: nobody does.
    """

    def __init__(
        self,
        manager: Manager,
        *,
        addresses: Sequence[str],
        num_threads: int,
        as_content: bool = False,
        reload: Reload | None = None,
        arguments: Sequence[Argument] = (),
        tls: TlsConfig | None = None,
        has_health: bool = False,
        keys: ApiKeys | None = None,
        metrics: ServingMetrics | None = None,
        collect: Callable[[], Registry] | None = None,
        limits: RequestLimits | None = None,
        gate: Gate | None = None,
        tracer: RequestTracer | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._limits = limits or RequestLimits()
        self._gate = gate or Gate(self._limits.max_concurrent_requests)
        self._manager = manager
        self._reload = reload
        self._collect = collect
        self._tracer = tracer
        self._watch = watch
        self._addresses = addresses
        self._as_content = as_content
        self._arguments = arguments
        self._tls = tls
        self._has_health = has_health
        self._keys = keys
        self.metrics = metrics or ServingMetrics()
        self.farewell = Farewell()
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="grpc")
        self._light = ThreadPoolExecutor(1, thread_name_prefix="grpc-light")  # refusals, and the health service
        self._reflection: ThreadPoolExecutor | None = None
        self._health: Health | None = None
        self._server: Any = None
        self.ports: list[int] = []

    def start(self) -> None:
        """Opens the ports and serves until `close`.

        Raises:
            ServerError: if a port is in use.
        """
        interceptors: list[grpc.ServerInterceptor] = [FarewellInterceptor(self.farewell, self._light)]
        if self._keys is not None:
            interceptors.insert(0, KeyInterceptor(self._keys, self.metrics.refused, self._light))
        if self._tracer is not None:
            interceptors.insert(0, TracingInterceptor(self._tracer))
        # Outermost, as it counts a call out by the threads that it gives its handler, which others would wrap.
        admission = AdmissionInterceptor(self._gate, self._pool, self._light)
        options = make_options(self._arguments, max_connections=self._limits.max_connections)
        self._server = grpc.server(self._pool, options=options, interceptors=[admission, *interceptors])
        services = _add_services(self._server, self)
        if self._has_health:
            self._health = Health(self._server, self._light)
            services.append("grpc.health.v1.Health")
        self._reflection = add_reflection(self._server, services)
        for address in self._addresses:
            port = self._open(address)
            if not port:
                self._server.stop(None)
                raise ServerError(
                    f"The gRPC address {address} cannot be opened: it is in use, or not an address of this machine. "
                    "Stop the program that uses it, or choose another port."
                )
            self.ports.append(port)
        self._server.start()

    def announce_stop(self) -> None:
        """Tells those who watch the health service that the server is about to stop."""
        if self._health is not None:
            self._health.announce_stop()

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Refuses new requests, waits for running requests, and cancels those that exceed the timeout."""
        self.announce_stop()
        if self._server is not None:
            self.farewell.say()
            self._server.stop(timeout_seconds).wait(timeout_seconds + 2.0)
        for pool in (self._pool, self._light, self._reflection):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    def _open(self, address: str) -> int:
        """Opens an address, with TLS if there is a key; returns its port, or 0 if it cannot be opened."""
        with contextlib.suppress(RuntimeError):
            if self._tls is None:
                return int(self._server.add_insecure_port(address))
            credentials = grpc.ssl_server_credentials(
                [(self._tls.server_key.encode(), self._tls.server_cert.encode())],
                root_certificates=self._tls.custom_ca.encode() or None,
                require_client_auth=self._tls.client_verify,
            )
            return int(self._server.add_secure_port(address, credentials))
        return 0

    def predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers `PredictionService.Predict`."""
        from tensorflow_serving.apis import predict_pb2

        start = time.perf_counter()
        with self._manager.lend(to_model_spec(request)) as lease:
            prediction = predict(
                lease.servable,
                request.model_spec.signature_name,
                request.inputs,
                to_array=decode_input,
                output_filter=request.output_filter,
                timeout_ms=_timeout_ms(context),
                max_rows=self._limits.max_rows,
            )
            self.metrics.count_run(lease.name, "Predict", prediction.run_seconds)
            response = predict_pb2.PredictResponse()
            _fill_spec(response, lease.name, lease.version)
            if self._watch is not None:
                headers = dict(context.invocation_metadata())
                observe_prediction(self._watch, lease, prediction, time.perf_counter() - start, headers)
        response.model_spec.signature_name = prediction.signature_name
        for name, array in prediction.outputs.items():
            try:
                to_proto(array, response.outputs[name], as_content=self._as_content)
            except InputError as error:
                raise StatusError(Code.UNIMPLEMENTED, f"output {name}: {error}") from error
        return response

    def classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers `PredictionService.Classify`."""
        return answer_classify(self._manager, request, _timeout_ms(context), self.metrics, self._limits.max_rows)

    def regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers `PredictionService.Regress`."""
        return answer_regress(self._manager, request, _timeout_ms(context), self.metrics, self._limits.max_rows)

    def multi_inference(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers `PredictionService.MultiInference`."""
        timeout_ms, max_rows = _timeout_ms(context), self._limits.max_rows
        return answer_multi_inference(self._manager, request, timeout_ms, self.metrics, max_rows)

    def metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers `PredictionService.GetModelMetadata`."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        with self._manager.lend(to_model_spec(request)) as lease:
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, signature in lease.servable.signature_defs.items():
                signatures.signature_def[name].CopyFrom(signature)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            _fill_spec(response, lease.name, lease.version)
        response.metadata[_SIGNATURE_DEF].Pack(signatures)
        return response

    def status(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers `ModelService.GetModelStatus`."""
        from tensorflow_serving.apis import get_model_status_pb2

        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._manager.statuses(spec.name, version):
            entry = response.model_version_status.add(version=status.version, state=int(status.state))
            entry.status.error_code = status.error.code if status.error else Code.OK
            entry.status.error_message = status.error.message if status.error else ""
        return response

    def reload(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers `ModelService.HandleReloadConfigRequest`."""
        if self._reload is None:
            raise not_supported_yet("HandleReloadConfigRequest")
        timeout_ms = _timeout_ms(context)
        seconds_left = None if timeout_ms is None else timeout_ms / 1000
        collect = self._collect or (lambda: self.metrics.registry)
        return answer_reload(self._reload, request, context, seconds_left, collect)


def _add_services(server: Any, answers: GrpcServer) -> list[str]:
    """Adds the services of the stubs to the server, bound to the methods of `answers`; returns their full names."""
    from tensorflow_serving.apis import (
        model_service_pb2,
        model_service_pb2_grpc,
        prediction_service_pb2,
        prediction_service_pb2_grpc,
    )

    class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
        Predict = staticmethod(_rpc(_counted("Predict", answers.predict, answers.metrics)))
        GetModelMetadata = staticmethod(_rpc(answers.metadata))
        Classify = staticmethod(_rpc(_counted("Classify", answers.classify, answers.metrics)))
        Regress = staticmethod(_rpc(_counted("Regress", answers.regress, answers.metrics)))
        MultiInference = staticmethod(_rpc(answers.multi_inference))  # which a stock server does not count either

    class ModelService(model_service_pb2_grpc.ModelServiceServicer):
        GetModelStatus = staticmethod(_rpc(answers.status))
        HandleReloadConfigRequest = staticmethod(_rpc(answers.reload))

    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(), server)
    files = (prediction_service_pb2.DESCRIPTOR, model_service_pb2.DESCRIPTOR)
    return [service.full_name for file in files for service in file.services_by_name.values()]


def _rpc(answer: Answer) -> Answer:
    """Wraps a method so that a call that raises ends with a status code and message."""

    def call(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return answer(request, context)
        except Exception as error:
            status = to_status(error)
        return context.abort(GRPC_CODES[status.code], cut_grpc_message(status.message))

    return call


def _counted(
    api: str, answer: Callable[[Any, grpc.ServicerContext], Any], metrics: ServingMetrics
) -> Callable[[Any, grpc.ServicerContext], Any]:
    """Wraps a method so that its calls are counted and measured as `api`."""

    def call(request: Any, context: grpc.ServicerContext) -> Any:
        with Call(metrics, "GRPC", request.model_spec.name, api):
            return answer(request, context)

    return call


def _fill_spec(response: Any, name: str, version: int) -> None:
    response.model_spec.name = name
    response.model_spec.version.value = version


def _timeout_ms(context: grpc.ServicerContext) -> int | None:
    """Returns the remaining milliseconds of the client's deadline, or None without a deadline."""
    left = context.time_remaining()
    if left is None or left > _FOREVER_SECONDS:
        return None
    if left <= 0:
        raise StatusError(Code.DEADLINE_EXCEEDED, "Deadline exceeded")
    return max(int(left * 1000), 1)
