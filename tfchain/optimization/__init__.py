"""Making a model small and fast: recipes, compression, and the report that compares candidates."""

from tfchain.runtime.keras_backend import check_keras_backend

check_keras_backend()
