"""Augmentation: training rows made from documents, and noisy copies of texts."""
