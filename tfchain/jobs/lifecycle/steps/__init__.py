"""The steps of a life cycle: each calls the rooms that do the work, and says what it made."""
