"""The training itself: encoders, fusion, ablation."""
