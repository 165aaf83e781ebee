"""What one file of weights holds, format by format, without running anything that it says."""
