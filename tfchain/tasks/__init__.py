"""What a model is for: the parts composed into functions of text."""
