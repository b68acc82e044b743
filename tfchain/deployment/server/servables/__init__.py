"""Servables: loaded models that requests run on."""
