"""Inputs into result files: planned, run, resumed, summed up."""
