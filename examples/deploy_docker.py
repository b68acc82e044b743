"""Write a search as a Docker image with a compose file, and look at what is in it.

.venv/bin/python examples/deploy_docker.py [--server stock] [--out FOLDER]

`docker compose up --build` in the folder builds the image and serves it. With --server own it has tfchain's server.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain

DOCUMENTS = {
    "merge": "heapq.merge puts several sorted inputs together into one sorted output.",
    "copy": "shutil.copytree copies a folder with everything in it.",
    "date": "datetime.strptime reads a date from a text.",
}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["stock", "own"], default="stock", help="TensorFlow Serving, or tfchain's")
    parser.add_argument("--out", type=Path, help="the folder to write; default: a temporary one")
    options = parser.parse_args(arguments)
    chain = NeuralSearchChain().add({"id": key, "text": text} for key, text in DOCUMENTS.items())
    with tempfile.TemporaryDirectory() as name:
        folder = chain.deploy(
            f"{name}/saved_models/docs",
            name="docs",
            target="docker",
            out=options.out or Path(name) / "docs",
            target_options={"server": options.server, "rest_port": 8601},
        )
        print("Files:", ", ".join(sorted(path.name for path in folder.iterdir())))
        for line in (folder / "Dockerfile").read_text().splitlines():
            if line.startswith(("FROM", "USER", "ENTRYPOINT", "HEALTHCHECK")):
                print(" ", line)
        compose = (folder / "compose.yaml").read_text()
        print("The ports are open on this machine alone:", "127.0.0.1:8601:8501" in compose)
        print("The container cannot write its files:", "read_only: true" in compose)
        if options.out is not None:
            print(f"Start it: cd {folder} && docker compose up --build")


if __name__ == "__main__":
    main(sys.argv[1:])
