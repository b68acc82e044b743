"""Fit: runs a training on Keras' own loop, from options to trained weights."""
