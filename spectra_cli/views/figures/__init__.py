"""The figures, a file for each: data is prepared once and drawn once, for a file, the page and Python alike."""
