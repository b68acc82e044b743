"""Search: tokenizer, encoder and index composed into functions of text."""
