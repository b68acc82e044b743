"""Recommendation: a user and a history in, items out."""
