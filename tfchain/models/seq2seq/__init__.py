"""Sequence-to-sequence models: texts in, texts out, by an encoder and a decoder that writes a token at a time."""
