"""Tokenizers, encoders, pretrained weights, engines and indexes."""

from tfchain.runtime.keras_backend import check_keras_backend

check_keras_backend()
