"""Indexes: vectors in memory, how they are stored, and the search over them."""
