"""Tokenizers: on the host and in a TensorFlow graph, with the same token ids."""
