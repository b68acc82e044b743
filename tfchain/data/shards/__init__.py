"""Shards: training data larger than memory."""
