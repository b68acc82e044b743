"""Tasks: what a model is for. Each composes the lower rooms into functions of text."""
