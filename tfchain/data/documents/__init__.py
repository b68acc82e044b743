"""Documents: read, checked, cut into passages."""
