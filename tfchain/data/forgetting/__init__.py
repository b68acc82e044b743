"""Forgetting: what a request for deletion means for records, and for the files that hold them."""
