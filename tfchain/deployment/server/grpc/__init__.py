"""gRPC and its messages."""
