"""Real clips and FP32 graphs to activation ranges, as data with provenance."""
