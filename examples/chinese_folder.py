"""Search in a folder of Chinese text files. 在自己的中文文档里搜索。

.venv/bin/python examples/chinese_folder.py MODEL FOLDER QUESTION

MODEL is a Chinese or multilingual encoder with a WordPiece tokenizer: a folder, or a name on the Hugging Face hub, such
as shibing624/text2vec-base-chinese.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 3:
        sys.exit(__doc__)
    model, folder, question = arguments

    # Documents longer than the model's maximum length are cut into passages; 「。」「！」「？」 also end a sentence.
    chain = NeuralSearchChain.from_pretrained(model, passages="split")
    chain.add(Path(folder))
    print(f"{len(chain)} 篇文档")

    for rank, hit in enumerate(chain.search(question, top_k=3).hits, 1):
        print(f"{rank}. {hit.score:.3f}  {hit.id}  {hit.text[:40]!r}")

    # The exported graph tokenizes Chinese too: a server needs no Python.
    print(chain.export("saved_models/chinese"))


if __name__ == "__main__":
    main(sys.argv[1:])
