"""Documents: reading, checking, and cutting into passages."""
