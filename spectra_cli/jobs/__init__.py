"""What a command and a Python call do, each read from top to bottom: scan, diff, inspect, verify, demo."""
