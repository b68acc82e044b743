"""Text classification: one label or several for a text, with scores."""
