"""Adapters of PEFT: what their settings mean for the change, its factors, and where it started."""
