"""Weights: model folders, weight maps and safetensors files."""
