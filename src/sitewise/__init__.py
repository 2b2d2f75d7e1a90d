"""Sitewise."""
