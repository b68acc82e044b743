"""The life cycle of a served model as a graph of steps: it resumes, skips what has not changed, and writes all down."""
