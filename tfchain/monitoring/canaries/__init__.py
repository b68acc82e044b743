"""Canary queries: questions with known answers, put to a server again and again."""
