"""Adapters: small changes of a model that are fitted on vectors, without training the encoder."""
