"""Search by words, without a model: terms of any script, how rare they are, and BM25."""
