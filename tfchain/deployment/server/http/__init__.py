"""HTTP and the REST API."""
