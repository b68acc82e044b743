"""Shared by every room: types, errors, checks, atomic writes, fingerprints, the task contract."""
