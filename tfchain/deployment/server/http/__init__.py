"""The HTTP server and the REST API."""
