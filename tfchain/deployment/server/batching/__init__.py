"""Batching across clients: TensorFlow Serving's, with its parameters, and tfchain's own for its texts."""
