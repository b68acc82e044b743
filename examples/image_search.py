"""Train small towers on drawn pictures, and find pictures by words and by pictures.

.venv/bin/python examples/image_search.py [--model FOLDER] [--epochs 80]

With --model, a trained model is read instead: a folder or hub name of CLIP, SigLIP or Chinese-CLIP.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfchain import ImageSearchChain

COLORS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220), "yellow": (235, 215, 40)}
SHAPES = ("circle", "square", "cross")


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    captions = [f"a {color} {shape}" for color, shape in itertools.product(COLORS, SHAPES)]
    pictures = [draw(color, shape) for color, shape in itertools.product(COLORS, SHAPES)]

    if options.model is not None:
        chain = ImageSearchChain.from_pretrained(options.model)
    else:
        chain = ImageSearchChain.make(
            captions, image_size=16, dim=32, num_layers=1, vocabulary_size=600, learning_rate=5e-3, batch_size=12
        )
        history = chain.fit(list(zip(pictures, captions, strict=True)), epochs=options.epochs)
        print(f"Trained on {len(pictures)} pictures: the loss is {history.history['loss'][-1]:.2f}.")

    chain.add(pictures, captions=captions)
    for hit in chain.search("a blue circle", top_k=3):
        print(f"{hit.score:.2f}  {hit.caption}")
    print("Like a red cross:", [hit.caption for hit in chain.search_image(draw("red", "cross"), top_k=2)])
    labels = chain.classify(draw("green", "square"), list(COLORS), template="a {} square")
    print(f"Its color: {labels[0].label} ({labels[0].score:.2f})")

    with tempfile.TemporaryDirectory() as folder:
        loaded = ImageSearchChain.load(chain.save(Path(folder) / "pictures"))
        print(f"{len(loaded)} pictures were saved and loaded.")


def draw(color: str, shape: str, side: int = 48) -> np.ndarray:
    """Draws a shape on white: uint8 `(side, side, 3)`."""
    rows, columns = np.mgrid[0:side, 0:side] - side // 2
    inside = {
        "circle": rows**2 + columns**2 < (side // 3) ** 2,
        "square": (abs(rows) < side // 4) & (abs(columns) < side // 4),
        "cross": (abs(rows) < side // 12) | (abs(columns) < side // 12),
    }[shape]
    picture = np.full((side, side, 3), 255, np.uint8)
    picture[inside] = COLORS[color]
    return picture


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or hub name; default: small towers are trained here")
    parser.add_argument("--epochs", type=int, default=80, help="passes over the pictures (80)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
