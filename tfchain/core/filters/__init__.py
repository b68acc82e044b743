"""Filters of documents by their metadata: the language, the columns that it reads, and their files in a version."""
