"""One self-contained page of what tables say."""
