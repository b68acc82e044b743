"""Strategies, replicas and workers."""
