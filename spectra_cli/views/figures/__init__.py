"""The figures, one file each: data prepared once, drawn once, for a file, the page and Python alike."""
