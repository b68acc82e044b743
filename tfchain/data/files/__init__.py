"""Files: lines and records."""
