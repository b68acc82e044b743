"""Steps: the functions on records from which the preparation of data is composed."""
