"""`tfchain serve`: runs the embedded server until Ctrl-C."""

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import output_options
from tfchain.core.errors import ServerError

if TYPE_CHECKING:
    from tfchain.deployment.deploy import Deployment
    from tfchain.deployment.engine import ServerEngine

EXAMPLES = {"serving_default": "how do I merge two sorted lists", "embed": "a text to encode"}


@click.command("serve", short_help="Serve a version over REST and gRPC.")
@click.argument("base_path", metavar="BASE_PATH", type=click.Path(path_type=Path))
@click.option("--name", help="The model's name in requests.  [default: the folder's name]")
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
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="A file for the server's log.")
@output_options
def serve_command(
    base_path: Path,
    name: str | None,
    host: str,
    port: int,
    rest_port: int,
    prefer_tflite_model: bool,
    engine: "ServerEngine | None",
    log: Path | None,
    as_json: bool,
) -> None:
    """Serve the latest version of BASE_PATH over REST and gRPC, like TensorFlow Serving.

    The server runs until Ctrl-C or SIGTERM, and loads new versions as they appear. It is made for development and small
    services; `tfchain-model-server --help` lists TensorFlow Serving's own flags, which it also accepts.

    \b
    Examples:
      tfchain serve saved_models/docs
      tfchain serve saved_models/docs --name docs --host 0.0.0.0 --port 8500 --rest-port 8501
    """
    from tfchain.chains.model_server import PROGRAM
    from tfchain.cli.folders import check_is_base_path
    from tfchain.deployment.deploy import deploy

    check_is_base_path(base_path)
    # SIGTERM, which process managers send, ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with waiting("starting the server"):
            deployment = deploy(
                base_path,
                model_name=name or base_path.resolve().name,
                host=host,
                grpc_port=port,
                rest_port=rest_port,
                prefer_tflite_model=prefer_tflite_model,
                engine=engine,
                log_path=log,
                program=PROGRAM,
            )
        with deployment:
            say_ready(deployment, base_path, as_json)
            while deployment.is_running:
                time.sleep(0.2)
            raise ServerError("The server has stopped unexpectedly. See its log (`--log FILE`).")
    except KeyboardInterrupt:
        if not as_json:
            click.echo("stopped")


def say_ready(deployment: "Deployment", base_path: Path, as_json: bool) -> None:
    """Prints where the server listens, and a request to paste."""
    if as_json:
        values = {"model": deployment.model_name, "pid": deployment.pid}
        print_json({**values, "rest_url": deployment.rest_url, "grpc_target": deployment.grpc_target})
        return
    url = f"{deployment.rest_url}/v1/models/{deployment.model_name}"
    click.echo(f"serving {deployment.model_name} from {base_path}; Ctrl-C stops it")
    click.echo(f"  REST  {url}")
    click.echo(f"  gRPC  {deployment.grpc_target}")
    request = make_request(base_path)
    if request is not None:
        body = json.dumps(request).replace("'", "'\\''")
        click.echo(f"\n  curl -d '{body}' {url}:predict")
    else:
        click.echo(f"\n  curl {url}/metadata")


def make_request(base_path: Path) -> dict[str, Any] | None:
    """A REST request that the latest version answers; None if its signatures are unknown."""
    from tfchain.cli.folders import describe_version
    from tfchain.deployment.repository import list_versions

    signatures = describe_version(list(list_versions(base_path).values())[-1]).get("signatures", [])
    name = next((signature for signature in EXAMPLES if signature in signatures), None)
    if name is None:
        return None
    chosen = {} if name == "serving_default" else {"signature_name": name}
    return {**chosen, "instances": [EXAMPLES[name]]}
