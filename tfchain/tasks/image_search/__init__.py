"""Image search as a task: texts and pictures find pictures."""
