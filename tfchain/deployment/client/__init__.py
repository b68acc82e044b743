"""The client for servers with TensorFlow Serving's protocols."""
