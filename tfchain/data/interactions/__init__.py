"""Who took what, and when: interactions of users with items, and the tables that describe both."""
