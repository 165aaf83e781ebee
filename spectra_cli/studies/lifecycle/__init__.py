"""The Lifecycle study: waves of compression, gradients over depth, asymmetry, two time scales."""
