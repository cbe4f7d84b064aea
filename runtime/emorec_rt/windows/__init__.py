"""Steps and tokens on one clock -> windows -> rows."""
