"""``emorec-rt serve``: a page and an interface for programs, on this machine."""
