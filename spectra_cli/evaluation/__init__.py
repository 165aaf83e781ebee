"""Loss of a language model on text: a checkpoint and a text in, loss per block of the text out. Writes nothing."""
