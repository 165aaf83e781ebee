"""Turns plans, tables and findings into something to look at. Nothing is computed here."""
