"""A report on a query log: what was asked, what was answered well or badly, and how fast, as one page."""
