"""The reference model: frozen encoders, temporal fusion, text guidance, and the checkpoint of them all."""
