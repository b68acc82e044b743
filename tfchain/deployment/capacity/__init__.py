"""What a version needs to serve: measured, kept beside it, and planned from."""
