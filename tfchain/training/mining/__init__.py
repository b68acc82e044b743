"""Mining: hard negatives found by a model."""
