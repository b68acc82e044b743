"""JSON in TensorFlow Serving's dialect: reading and writing."""
