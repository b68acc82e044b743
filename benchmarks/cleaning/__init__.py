"""Parts of data_cleaning.py."""
