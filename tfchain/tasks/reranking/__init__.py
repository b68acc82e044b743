"""Reranking: a cross-encoder scores pairs of a query and a document."""
