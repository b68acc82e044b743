"""Removal of duplicates: exact, near (MinHash), and by meaning."""
