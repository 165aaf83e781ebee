"""The stability study: the two phases of a run, their onset, and the loss beside them."""
