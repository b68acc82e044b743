"""Late interaction: a query and a document are encoded apart, and compared token by token."""
