"""What models and deployment share: LiteRT, token batches, the door to TensorFlow Text, quiet standard error."""
