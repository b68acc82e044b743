"""Question answering: a retriever finds passages, and a reader marks the answer in them."""
