"""Endpoints for texts beside TensorFlow Serving's API: embeddings, search, and what clients ask around them."""
