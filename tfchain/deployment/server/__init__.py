"""The embedded server: REST and gRPC on a manager of versions, on servables."""
