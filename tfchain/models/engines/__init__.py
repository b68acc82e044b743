"""Engines, which compute vectors, each in some precisions."""
