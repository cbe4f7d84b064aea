"""``emorec-rt-ray`` and ``python -m emorec_ray``."""

from __future__ import annotations

from emorec_ray.command import main

if __name__ == "__main__":
    main()
