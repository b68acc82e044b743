"""Checks of data: a report on faults and leaks, a schema that the next data is held to, skew between two sets."""
