"""Weights: model folders, weight maps, files of safetensors."""
