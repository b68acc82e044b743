"""Training of models from text to text: batches of tokens, teacher forcing, label smoothing, vocabularies."""
