"""From a request to the numbers of every matrix: plans, open checkpoints, comparisons, and what measures them."""
