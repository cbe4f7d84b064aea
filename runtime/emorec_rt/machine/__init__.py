"""The machine at hand: cores, GPUs, Jetson."""
