"""Labelled clips: generated ones, and data sets on disk."""
