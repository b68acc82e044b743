"""`tfchain serve`: runs the embedded server until Ctrl-C."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.deployed_flags import list_free_flags

if TYPE_CHECKING:
    from tfchain.deployment.deploy import Deployment
    from tfchain.deployment.engine import ServerEngine

CURL_WITH_KEY = 'curl -H "Authorization: Bearer $KEY"'


class ServeCommand(click.Command):
    """A command whose help lists the options that are flags of the server by themselves, after its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options."""
        flags = {flag.name for flag in list_free_flags()}
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        own = [option for option in options if option.name not in flags]
        others = [option for option in options if option.name in flags]
        for title, shown in (("Options", own), ("Flags of the server, as of `tfchain-model-server`", others)):
            with formatter.section(title):
                formatter.write_dl([record for option in shown if (record := option.get_help_record(ctx))])


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds an option for each flag of the server that no other option stands for."""
    for flag in reversed(list_free_flags()):
        default = str(flag.default).lower() if isinstance(flag.default, bool) else flag.default
        shown = f"  [default: {default}]" if default != "" else ""
        dashed = flag.name.replace("_", "-")
        is_switch = isinstance(flag.default, bool)
        command = click.option(
            f"--{dashed}/--no-{dashed}" if is_switch else f"--{dashed}",
            flag.name,
            type=None if is_switch else type(flag.default),
            default=None,
            help=flag.help.removeprefix("(tfchain's own) ") + "." + shown,
        )(command)
    return command


@click.command("serve", cls=ServeCommand, short_help="Serve a version over REST and gRPC.")
@click.argument("base_path", metavar="[BASE_PATH]", required=False, type=click.Path(path_type=Path))
@click.option("--name", help="The model's name in requests.  [default: the folder's name]")
@click.option(
    "--model-config-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Serve the models of this file, in TensorFlow Serving's format, in place of BASE_PATH.",
)
@click.option(
    "--model-config-poll-seconds",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Read the file again so often, and take up its changes; 0: never.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8500, show_default=True, help="gRPC port; 0: any free port."
)
@click.option(
    "--rest-port", type=click.IntRange(0, 65535), default=8501, show_default=True, help="REST port; 0: any free port."
)
@click.option("--prefer-tflite-model", is_flag=True, help="Run the encoder of a version with a model.tflite by LiteRT.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "tensorflow", "litert", "native"]),
    help="What answers. native: tfchain's int8 kernels, for a version of an int8 chain. auto: the first of native, "
    "litert and tensorflow that can.  [default: tensorflow]",
)
@click.option(
    "--tls-config",
    type=click.Path(path_type=Path),
    help="TLS on both ports: a text proto of TensorFlow Serving's SSLConfig.",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    help="A file of keys, one a line, of which requests must carry one.",
)
@click.option(
    "--monitoring-config", type=click.Path(path_type=Path), help="Where to serve metrics, as in TensorFlow Serving."
)
@click.option("--search-page/--no-search-page", default=True, help="A page to search with at / of the REST port.")
@click.option("--otel-traces", is_flag=True, help="Send OpenTelemetry traces, as OTEL_... environment variables say.")
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Processes that answer on the ports, for a machine with many cores.",
)
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="A file for the server's log.")
@output_options
@server_options
def serve_command(
    base_path: Path | None,
    name: str | None,
    model_config_file: Path | None,
    model_config_poll_seconds: int,
    host: str,
    port: int,
    rest_port: int,
    prefer_tflite_model: bool,
    engine: "ServerEngine | None",
    tls_config: Path | None,
    api_key_file: Path | None,
    monitoring_config: Path | None,
    search_page: bool,
    otel_traces: bool,
    workers: int,
    log: Path | None,
    as_json: bool,
    **server_flags: str | int | float | bool | None,
) -> None:
    """Serve the latest version of BASE_PATH, or several models, over REST and gRPC, like TensorFlow Serving.

    The server runs until Ctrl-C or SIGTERM, and loads new versions as they appear. It is made for development and small
    services; `tfchain-model-server` does the same with TensorFlow Serving's own flags.

    \b
    Examples:
      tfchain serve saved_models/docs
      tfchain serve saved_models/docs --name docs --host 0.0.0.0 --port 8500 --rest-port 8501
      tfchain serve --model-config-file models.config
      tfchain serve saved_models/docs --tls-config tls.pbtxt --api-key-file keys.txt
    """
    from tfchain.chains.model_server import PROGRAM
    from tfchain.deployment.deploy import deploy
    from tfchain.deployment.deployed_ports import DeployedPorts

    models = choose_models(base_path, name, model_config_file, model_config_poll_seconds)
    # SIGTERM, which process managers send, ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with waiting("starting the server"):
            deployment = deploy(
                **models,
                host=host,
                grpc_port=port,
                rest_port=rest_port,
                prefer_tflite_model=prefer_tflite_model,
                engine=engine,
                log_path=log,
                ports=DeployedPorts(tls_config, api_key_file, monitoring_config, search_page, otel_traces),
                program=PROGRAM,
                workers=workers,
                flags={flag: value for flag, value in server_flags.items() if value is not None},
            )
        with deployment:
            curl = "curl" if api_key_file is None else CURL_WITH_KEY
            say_ready(deployment, base_path, as_json, curl=curl, has_page=search_page)
            while deployment.is_running:
                time.sleep(0.2)
            raise ServerError("The server has stopped unexpectedly. See its log (`--log FILE`).")
    except KeyboardInterrupt:
        if not as_json:
            click.echo("stopped")


def choose_models(
    base_path: Path | None, name: str | None, config_file: Path | None, config_poll_seconds: int
) -> dict[str, Any]:
    """Returns the arguments of `deploy` that say what is served."""
    from tfchain.cli.folders import check_is_base_path

    if base_path is None:
        if config_file is None:
            raise InputError("`tfchain serve` needs a BASE_PATH or a --model-config-file. Received: neither.")
        if name is not None:
            raise InputError(f"--name belongs to a BASE_PATH. Received: --name {name}. The file names the models.")
        return {"config_file": config_file, "config_poll_seconds": config_poll_seconds}
    if config_poll_seconds and config_file is None:
        raise InputError(
            "--model-config-poll-seconds belongs to a --model-config-file. Received: "
            f"--model-config-poll-seconds {config_poll_seconds} with {base_path}. Leave it out."
        )
    if config_file is not None:
        raise InputError(
            f"`tfchain serve` takes a BASE_PATH or a --model-config-file. Received: both, {base_path} and "
            f"{config_file}. Leave one out."
        )
    check_is_base_path(base_path)
    return {"base_path": base_path, "model_name": name or base_path.resolve().name}


def say_ready(
    deployment: "Deployment", base_path: Path | None, as_json: bool, curl: str = "curl", *, has_page: bool = True
) -> None:
    """Prints where the server listens, where its page is, and a request to paste that begins with `curl`."""
    if as_json:
        names = {"models": list(deployment.model_names)} if base_path is None else {"model": deployment.model_name}
        values = {**names, "pid": deployment.pid}
        print_json({**values, "rest_url": deployment.rest_url, "grpc_target": deployment.grpc_target})
        return
    if base_path is None:
        click.echo(f"serving {', '.join(deployment.model_names)}; Ctrl-C stops it")
        for name in deployment.model_names:
            click.echo(f"  REST  {deployment.rest_url}/v1/models/{quote(name, safe='')}")
        click.echo(f"  gRPC  {deployment.grpc_target}")
        return
    from tfchain.cli.example_request import find_latest, make_request, read_inputs

    url = f"{deployment.rest_url}/v1/models/{deployment.model_name}"
    click.echo(f"serving {deployment.model_name} from {base_path}; Ctrl-C stops it")
    click.echo(f"  REST  {url}")
    click.echo(f"  gRPC  {deployment.grpc_target}")
    if has_page and "search" in read_inputs(find_latest(base_path)):
        click.echo(f"  page  {deployment.rest_url}/")
    request = make_request(base_path)
    if request is not None:
        body = json.dumps(request).replace("'", "'\\''")
        click.echo(f"\n  {curl} -d '{body}' {url}:predict")
    else:
        click.echo(f"\n  {curl} {url}/metadata")
