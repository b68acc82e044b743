"""Streams: texts from memory or disk as batches of token ids, in an order that can be continued."""
