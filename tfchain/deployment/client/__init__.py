"""The client of servers that speak TensorFlow Serving's protocols."""
