"""Jetson modules: the one at hand, its power modes, and a memory plan for it."""
