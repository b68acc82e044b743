"""Serve a chain, and query it over REST, over gRPC, and with only the standard library.

.venv/bin/python examples/serve_and_query.py [MODEL]
"""

import json
import sys
import tempfile
import urllib.request
from collections.abc import Sequence

from tfchain import NeuralSearchChain

DOCUMENTS = [
    "heapq.merge puts several sorted inputs together into one sorted output.",
    "shutil.copytree copies a whole folder.",
    "tracemalloc tells how much memory a program has taken.",
]
QUESTION = "how do I merge two sorted lists"


def main(arguments: Sequence[str]) -> None:
    chain = NeuralSearchChain(model=arguments[0] if arguments else None)
    chain.add(DOCUMENTS)

    # `deploy` exports a version, starts the server in its own process, and stops it at the end of the block.
    # A stock TensorFlow Serving can serve the same version: --model_base_path=<the folder below>.
    with tempfile.TemporaryDirectory() as folder, chain.deploy(folder, name="docs", top_k=2) as server:
        with server.client() as client:
            over_grpc = client.search(QUESTION, model="docs")[0]
            over_rest = client.search(QUESTION, model="docs", protocol="rest")[0]
            vectors = client.embed([QUESTION, "another text"], model="docs")
        print("gRPC:", over_grpc["answer"])
        print("REST:", over_rest["answer"])
        print("vectors:", vectors.shape)

        # Any HTTP client works.
        body = json.dumps({"instances": [QUESTION]}).encode()
        with urllib.request.urlopen(f"{server.rest_url}/v1/models/docs:predict", body, timeout=30) as response:
            print("urllib:", json.load(response)["predictions"][0]["texts"][0])


if __name__ == "__main__":
    main(sys.argv[1:])
