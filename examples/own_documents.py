"""Search your own documents in Python: add, ask, change, save, load.

.venv/bin/python examples/own_documents.py [MODEL]
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain

NOTES = [
    {"id": "rent", "title": "Rent", "text": "The rent is due on the third working day of each month.", "page": 4},
    {"id": "keys", "title": "Keys", "text": "Whoever loses a key pays for the new lock.", "page": 7},
    {"id": "pets", "title": "Pets", "text": "Cats are welcome. Dogs need the landlord's word.", "page": 9},
]


def main(arguments: Sequence[str]) -> None:
    # A folder, or a name on the Hugging Face hub. The default is the small English model that comes with tfchain.
    chain = NeuralSearchChain(model=arguments[0] if arguments else None)
    chain.add(NOTES)

    result = chain.search("May I keep a dog?", top_k=2)
    print(result)  # {'text': 'May I keep a dog?', 'answer': "Cats are welcome. Dogs need the landlord's word."}
    for hit in result.hits:
        print(f"{hit.score:.3f}  {hit.title}, page {hit.metadata['page']}")

    # A document with an existing id replaces the old one.
    chain.add([{"id": "rent", "title": "Rent", "text": "The rent is due on the first of each month.", "page": 4}])
    chain.remove("keys")

    # Saved in one step, with the model: the loaded chain answers as before.
    with tempfile.TemporaryDirectory() as folder:
        chain.save(Path(folder) / "index")
        loaded = NeuralSearchChain.load(Path(folder) / "index")
    print(loaded.search("When do I have to pay?")["answer"])


if __name__ == "__main__":
    main(sys.argv[1:])
