"""Training pairs: reading, checking, and planning batches."""
