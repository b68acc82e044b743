"""Shards: training data that does not fit into memory."""
