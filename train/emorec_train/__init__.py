"""The reference model: its classes, data, losses, training loop, metrics and checkpoints."""
