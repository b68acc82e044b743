"""Drift: whether queries, documents or the model itself are still those that a reference was made of."""
