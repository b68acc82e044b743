"""Shared by every room: types, errors, atomic writes, fingerprints, the doors to heavy packages."""
