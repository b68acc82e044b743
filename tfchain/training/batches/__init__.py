"""Batches: from rows of texts to the tensors of a step."""
