"""Cache of what TensorRT for RTX has compiled on this GPU, in the user's own cache alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from emorec_rt.bundle import sha256_of
from emorec_rt.errors import OutputError
from emorec_rt.files import write_whole

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class CacheFile:
    """One engine's compiled kernels for one GPU, driver and release.

    Attributes:
        path: The file.
    """

    path: Path
    _written: bytes = b""
    _writable: bool = True

    @classmethod
    def of_plan(cls, plan: Path, folder: Path) -> CacheFile:
        """The file of a plan, in the folder of a GPU, a driver and a release."""
        return cls(folder / f"{sha256_of(plan)[:16]}.cache")

    def read(self) -> bytes:
        """Read the cache; the library checks whether it fits. Empty without one."""
        try:
            self._written = self.path.read_bytes()
        except OSError:
            self._written = b""
        return self._written

    def write(self, data: bytes) -> None:
        """Replace it, if it has changed. A full disk only costs time at the next start; one line says so."""
        if data == self._written or not self._writable:
            return
        try:
            write_whole(self.path, data)
        except OutputError as error:
            self._writable = False
            _logger.warning("%s; kernels are compiled again at the next start", error)
        self._written = data
