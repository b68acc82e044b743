"""Tokenizers on the host and in a TensorFlow graph, which give the same token ids."""
