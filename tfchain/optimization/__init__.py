"""Making a model small and fast: recipes, compression, and the report that compares candidates."""
