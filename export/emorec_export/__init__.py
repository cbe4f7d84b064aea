"""Checkpoint to bundle: ONNX graphs, quantised variants, and a report of how well each keeps to the model."""
