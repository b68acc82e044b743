"""Pictures: read from files, bytes, arrays and PIL, and refused where they are broken or too large."""
