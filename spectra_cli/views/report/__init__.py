"""The report: one self-contained page on one table or several."""
