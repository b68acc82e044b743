"""Export, versions, deployment and clients."""
