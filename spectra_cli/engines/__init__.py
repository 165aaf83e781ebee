"""Where the work runs: same results in the same order, whichever engine."""
