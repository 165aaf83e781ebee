"""Findings in words, the same on a terminal, on the page and in a caption."""
