"""The embedded server: REST and gRPC, a manager of versions, and servables."""
