"""Settings of a training, presets, and changes to them."""
