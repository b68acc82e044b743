"""Tokenizer, encoder, pretrained weights and index."""

from tfchain.runtime.keras_backend import check_keras_backend

check_keras_backend()
