"""Metrics and evaluation (training itself joins with its own issue)."""

from tfchain.runtime.keras_backend import check_keras_backend

check_keras_backend()
