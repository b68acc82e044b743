"""Engines: what computes vectors, in which precision."""
