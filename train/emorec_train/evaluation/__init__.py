"""Scores of checkpoints on whole clips."""
