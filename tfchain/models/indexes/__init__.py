"""Indexes: vectors in memory, their storage, and the search over them."""
