"""Code that every room shares: types, errors, checks, atomic writes, fingerprints and the task contract."""
