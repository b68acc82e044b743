"""Cleaning: repair of texts, filters by language, length and quality, masking of personal data and secrets."""
