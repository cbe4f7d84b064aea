"""Files of the challenge: predicted, merged, checked."""
