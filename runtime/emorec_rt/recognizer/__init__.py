"""From media to predictions: the stream of it all."""
