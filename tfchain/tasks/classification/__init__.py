"""Text classification: labels for texts, one or several, with scores."""
