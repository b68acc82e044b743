"""The Keras layers of newer transformers: rotary positions, gated feed-forward networks, windows, grouped heads."""
