"""Labelled still pictures of faces: readers for the layouts that they are published in."""
