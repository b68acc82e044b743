"""The query log: queries and feedback by User Behavior Insights' schemas, masked, rotated and purged."""
