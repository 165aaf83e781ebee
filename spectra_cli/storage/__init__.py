"""Files that outlive a crash: written whole or not at all, by one writer, and the table that they become."""
