"""Encoders: their configuration, their layers, and the Keras model made of both."""
