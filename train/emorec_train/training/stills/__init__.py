"""Visual encoders from labelled still pictures."""
