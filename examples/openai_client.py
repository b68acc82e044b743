"""Embed and search with OpenAI's client: a chain is served, and asked at /v1/embeddings.

.venv/bin/python -m pip install openai
.venv/bin/python examples/openai_client.py [--model MODEL]
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
from openai import OpenAI

from tfchain import NeuralSearchChain

DOCUMENTS = [
    "Water boils at 100 degrees Celsius at sea level.",
    "The Great Wall of China is over 21,000 kilometres long.",
    "Bread rises because yeast produces carbon dioxide.",
]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    options = parser.parse_args(arguments)
    chain = NeuralSearchChain(model=options.model) if options.model else NeuralSearchChain()

    with tempfile.TemporaryDirectory() as folder, chain.deploy(folder, name="docs") as server:
        client = OpenAI(base_url=f"{server.rest_url}/v1", api_key="not needed")
        print("models:", ", ".join(model.id for model in client.models.list()))

        # `docs-document` and `docs-query` put the model's prompts before the texts.
        answer = client.embeddings.create(model="docs-document", input=DOCUMENTS)
        documents = np.array([row.embedding for row in answer.data], np.float32)
        print("vectors:", documents.shape, "of", answer.usage.prompt_tokens, "tokens")

        question = "why does dough get bigger"
        asked = client.embeddings.create(model="docs-query", input=question)
        scores = documents @ np.array(asked.data[0].embedding, np.float32)
        print(f"{question}: {DOCUMENTS[int(scores.argmax())]}")


if __name__ == "__main__":
    main(sys.argv[1:])
