"""Backends whose programs run in torch: beside the runtime, which never imports torch. Loaded by name."""
