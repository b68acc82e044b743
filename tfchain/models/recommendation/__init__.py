"""Two towers: items and users with their histories to vectors whose product says how well they go together."""
