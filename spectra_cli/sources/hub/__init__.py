"""Checkpoints on the Hugging Face Hub: revisions listed, requests retried, files fetched into bounded space."""
