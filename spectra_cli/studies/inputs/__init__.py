"""What studies read: tables, training logs and labels, checked once for every command."""
