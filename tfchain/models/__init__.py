"""Tokenizer, encoder, pretrained weights and index."""
