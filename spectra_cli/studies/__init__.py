"""What a table says: each study reads tables and gives findings, and knows neither checkpoints nor screens."""
