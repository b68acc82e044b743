"""Trains an encoder: steps, batches, losses, mined negatives, several workers."""

from tfchain.runtime.keras_backend import check_keras_backend

check_keras_backend()
