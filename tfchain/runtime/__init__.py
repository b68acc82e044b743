"""Shared by models and deployment: LiteRT, token batches, the door to TensorFlow Text, forks, quiet standard error."""
