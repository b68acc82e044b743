"""Reads records, and makes passages and batches of them."""
