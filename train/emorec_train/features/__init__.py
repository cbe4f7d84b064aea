"""Features of frozen encoders: made, cached, cut into windows."""
