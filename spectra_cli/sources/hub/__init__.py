"""Checkpoints on the Hugging Face Hub: revisions listed, requests tried again, files fetched into bounded space."""
