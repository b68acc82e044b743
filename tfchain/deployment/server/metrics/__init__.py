"""What the server counts and measures, and the text in which Prometheus reads it."""
