"""``emorec-rt doctor``: what the machine has and lacks."""
