"""Search: functions of text from tokenizer, encoder and index."""
