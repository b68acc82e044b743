"""Training of recommendation models: histories cut into windows, softmaxes over items."""
