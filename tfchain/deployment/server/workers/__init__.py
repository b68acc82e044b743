"""Several processes that answer on the same ports, and the supervisor that starts them."""
