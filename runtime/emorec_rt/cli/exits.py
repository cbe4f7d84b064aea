"""Errors as one line and an exit code: the same in every program of this project."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from emorec_rt.cli.console import say
from emorec_rt.constants import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from emorec_rt.errors import EmorecError, UsageError

INSTALL: Final = "pip install 'emorec[cpu]'"
INSTALL_WORKSHOP: Final = "pip install -e '.[export]'"
"""Adds all that training, calibration and export need, in a checkout."""

_NO_THREAD: Final = "can't start new thread"
_NO_ROOM: Final = "failed to map segment"
"""Words of the loader about a library that the rest of the memory doesn't hold."""

_NO_MEMORY: Final = "the memory that this process may have is full; give it more, or take fewer --threads"


@contextlib.contextmanager
def exit_codes(install: str = INSTALL, *, failed: int = EXIT_FAILED) -> Iterator[None]:
    """End the program with a line and a code where its body fails; also a decorator.

    Args:
        install: Command that adds a missing library.
        failed: Code of a failure that is not the caller's mistake.
    """
    try:
        yield
    except UsageError as error:
        _end(str(error), EXIT_USAGE)
    except EmorecError as error:
        _end(str(error), failed)
    except ImportError as error:
        if _interrupted(error):
            raise SystemExit(EXIT_INTERRUPTED) from None
        if error.name and error.name.startswith("emorec"):
            raise  # a mistake of this program's, and its traceback says where
        if _NO_ROOM in str(error):
            _end(_NO_MEMORY, failed)
        package = (error.name or "").partition(".")[0] or "needed"
        _end(f"the library {package} can't be loaded ({error}); run: {install}", failed)
    except MemoryError:
        _end(_NO_MEMORY, failed)
    except RuntimeError as error:
        if _NO_THREAD not in str(error):
            raise
        _end(_NO_MEMORY, failed)
    except OSError as error:
        _end(f"{error.filename or 'the system'}: {error.strerror or error}", failed)


def _end(line: str, code: int) -> None:
    say(f"error: {' '.join(line.split())}")
    raise SystemExit(code) from None


def _interrupted(error: BaseException) -> bool:
    """Say whether a Ctrl-C caused an error: a library that is interrupted while it loads reports its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
