"""``emorec-rt`` and ``python -m emorec_rt``. A Ctrl-C while modules are loaded ends the program silently."""

from __future__ import annotations

import signal

_earlier = signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Load the command line, then run it."""
    from emorec_rt.cli import main as run

    signal.signal(signal.SIGINT, _earlier)
    run()


if __name__ == "__main__":
    main()
