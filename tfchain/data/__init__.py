"""Records in, passages and batches out."""
