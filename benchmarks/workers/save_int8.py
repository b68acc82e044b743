"""Writes MiniLM in int8 as a saved chain: python save_int8.py MODEL FOLDER."""

import sys

from tfchain import NeuralSearchChain, Quantize

model, folder = sys.argv[1:]
# Documents are cut at the model's maximum, as sentence-transformers does, so that both serve the same vectors.
chain = NeuralSearchChain.from_pretrained(model, passages="truncate")
chain.compress(Quantize("int8"))
chain.save(folder)
