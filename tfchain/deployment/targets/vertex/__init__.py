"""Vertex AI: a model in a container of one's own, an endpoint, and the script that makes both."""
