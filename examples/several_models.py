"""Serve two chains by a model config file, and bring out a new version of one under a label of its own.

.venv/bin/python examples/several_models.py [MODEL]
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tfchain import Client, NeuralSearchChain
from tfchain.deployment.deploy import deploy

MANUAL = ["heapq.merge puts several sorted inputs together into one sorted output.", "shutil.copytree copies a folder."]
HOUSE_RULES = ["Cats are welcome. Dogs need the landlord's word.", "The rent is due on the first of each month."]
QUESTION = "how do I merge two sorted lists"

# TensorFlow Serving's own format: a stock server takes the same file as --model_config_file.
CONFIG = """
model_config_list {{
  config {{ name: "manual" base_path: "{folder}/manual" model_platform: "tensorflow" {more} }}
  config {{ name: "house" base_path: "{folder}/house" model_platform: "tensorflow" }}
}}
"""
FIRST = 'version_labels { key: "stable" value: 1 }'
BOTH = (
    'model_version_policy { all {} } version_labels { key: "stable" value: 1 } version_labels { key: "next" value: 2 }'
)


def main(arguments: Sequence[str]) -> None:
    model = arguments[0] if arguments else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manual = NeuralSearchChain(model=model).add(MANUAL)
        manual.export(folder / "manual")
        NeuralSearchChain(model=model).add(HOUSE_RULES).export(folder / "house")
        (folder / "models.config").write_text(CONFIG.format(folder=folder, more=FIRST))

        with deploy(config_file=folder / "models.config", client_type=Client) as server, server.client() as client:
            print("stable:", client.search(QUESTION, model="manual", version="stable")[0]["answer"])
            print("house:", client.search("may I keep a cat", model="house")[0]["answer"])

            # Version 1 goes on as `stable`, and version 2 is there for those who ask for `next`.
            manual.add(["sorted(a + b) merges two lists."])
            manual.export(folder / "manual")
            reload_models(server.grpc_target, CONFIG.format(folder=folder, more=BOTH))
            while client.status("manual").get(2) != "AVAILABLE":  # a reload waits for new models, not for new versions
                time.sleep(0.1)
            for label in ("stable", "next"):
                hits = client.search(QUESTION, model="manual", version=label)[0].hits
                print(f"{label}: one of {len(hits)} documents")


def reload_models(grpc_target: str, config: str) -> None:
    """Gives a running server, stock or embedded, another configuration."""
    import grpc
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(config, request.config)
    with grpc.insecure_channel(grpc_target) as channel:
        model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)


if __name__ == "__main__":
    main(sys.argv[1:])
