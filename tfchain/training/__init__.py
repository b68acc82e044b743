"""Metrics and evaluation (training itself joins with its own issue)."""
