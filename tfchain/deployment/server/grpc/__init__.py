"""The gRPC server and its messages."""
