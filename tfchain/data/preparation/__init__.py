"""Preparation of data: steps by name, a run over a source, and what it writes."""
