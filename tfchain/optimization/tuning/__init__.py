"""Tuning: hyperparameter trials on KerasTuner's oracles, limits, and the report that compares the trials."""
