"""A Triton inference server: graphs run on another machine, over HTTP (KServe's protocol, version 2).

The address comes with the name: ``triton://HOST:PORT``. Models are those that ``export/triton_repository.py``
writes: their names hold the hash of the graph, so that a server can't run another model's weights by mistake.
It has run against a server that speaks the protocol, and not against Triton itself.
"""

from __future__ import annotations

import re
import threading
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Graph, TensorSpec
from emorec_rt.constants import GPU_BATCH
from emorec_rt.engines.base import (
    Backend,
    Engine,
    Progress,
    Tensors,
    check_feeds,
    check_results,
    common_batch,
    not_installed,
)
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError, UsageError, engine_error

INSTALL: Final = "pip install 'emorec[triton]'"
TRITON_DTYPES: Final = {"uint8": "UINT8", "float32": "FP32"}
"""The protocol's names of the dtypes that graphs have."""

WAIT_SECONDS: Final = 60.0
"""How long the server may take for a connection, and for an answer."""

LANES: Final = 2
"""Batches on their way at once: one is computed while the next one travels."""

_HASH_DIGITS: Final = 12
_ADDRESS: Final = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


def model_name(path: Path, graph: Graph) -> str:
    """The name of a graph's file in a model repository: graph, precision, the beginning of its hash.

    Raises:
        BundleError: The manifest has no such file.
    """
    for variant in graph.variants.values():
        if Path(variant.file).name == path.name:
            return f"emorec_{path.stem.replace('.', '_')}_{variant.sha256[:_HASH_DIGITS]}"
    raise BundleError(path, "the manifest has no such graph")


class TritonEngine(Engine):
    """One graph on a server.

    Args:
        address: ``HOST:PORT`` of its HTTP interface.
        path: The graph's file, for its name alone: the server has its own copy.
        graph: The manifest's entry.

    Raises:
        BackendUnavailableError: tritonclient is not installed.
        EngineError: The server can't be reached, or has no such model.
        BundleError: The model's inputs or outputs are not the manifest's.
    """

    lanes = LANES
    best_batch = GPU_BATCH

    def __init__(self, address: str, path: Path, graph: Graph) -> None:
        try:
            from tritonclient import http
        except (ImportError, RuntimeError) as error:  # the latter where a part of it is missing
            raise BackendUnavailableError("triton", "tritonclient[http]", INSTALL) from error
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self.model = model_name(path, graph)
        self._address, self._http = address, http
        self._own = threading.local()
        self._check_model(path)

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``."""
        check_feeds(self.inputs, feeds)
        wanted = [self._http.InferRequestedOutput(spec.name) for spec in self.outputs]
        given = [self._input(spec, feeds[spec.name]) for spec in self.inputs]
        answer = self._ask("infer", self.model, given, outputs=wanted)
        named = {spec.name: self._output(answer, spec) for spec in self.outputs}
        check_results(self.outputs, named, common_batch(feeds))
        return named

    def _input(self, spec: TensorSpec, array: NDArray[Any]) -> Any:
        tensor = self._http.InferInput(spec.name, list(array.shape), TRITON_DTYPES[spec.dtype])
        tensor.set_data_from_numpy(np.ascontiguousarray(array))
        return tensor

    def _output(self, answer: Any, spec: TensorSpec) -> NDArray[Any]:
        array = answer.as_numpy(spec.name)
        if array is None:
            raise EngineError(f"{self._what}: the answer lacks {spec.name}")
        return np.array(array)  # the answer's own memory can't be written

    def _check_model(self, path: Path) -> None:
        if not self._ask("is_model_ready", self.model):
            raise EngineError(
                f"{self._what}: the server has no such model ready; write it with export/triton_repository.py"
            )
        found = self._ask("get_model_metadata", self.model)
        for kind, specs in (("inputs", self.inputs), ("outputs", self.outputs)):
            expected = sorted(_shown(spec.name, TRITON_DTYPES[spec.dtype], spec.shape) for spec in specs)
            there = sorted(_shown(t["name"], t["datatype"], t["shape"]) for t in found.get(kind, ()))
            if there != expected:
                reason = (
                    f"the manifest says {kind} {', '.join(expected)}; {self._what} has {', '.join(there)}"
                )
                raise BundleError(path, reason)

    def _ask(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """Ask the server; what it or the network complains of is an error of the engine."""
        from geventhttpclient.response import HTTPParseError
        from tritonclient.utils import InferenceServerException

        try:
            return getattr(self._client, method)(*arguments, **keywords)
        except InferenceServerException as error:
            raise engine_error(self._what, error.message() or str(error), "") from error
        except (OSError, HTTPParseError) as error:
            advice = "the address is that of its HTTP interface, often port 8000"
            raise engine_error(f"{self._what} can't be reached", str(error), advice) from error

    @property
    def _client(self) -> Any:
        """This thread's connection: the library's can't be shared."""
        if not hasattr(self._own, "client"):
            self._own.client = self._http.InferenceServerClient(
                self._address, connection_timeout=WAIT_SECONDS, network_timeout=WAIT_SECONDS
            )
        return self._own.client

    @property
    def _what(self) -> str:
        return f"triton://{self._address}, model {self.model}"


def _shown(name: str, dtype: str, shape: Any) -> str:
    return f"{name} {dtype}{[int(size) for size in shape]}"


def open_triton(
    path: Path,
    graph: Graph,
    *,
    address: str = "",
    threads: int | None = None,  # noqa: ARG001 - the server's business
    progress: Progress | None = None,  # noqa: ARG001 - nothing is built
) -> TritonEngine:
    """Run a graph of a bundle on a server; see ``Open``.

    Raises:
        UsageError: The address is missing or is none.
    """
    if not _ADDRESS.fullmatch(address):
        named = f"triton://{address} is no address" if address else "backend triton needs an address"
        raise UsageError(f"{named}; write --backend triton://HOST:PORT")
    return TritonEngine(address, path, graph)


def at(address: str) -> Backend:
    """The backend that a server at an address is."""
    return Backend(
        open=partial(open_triton, address=address),
        unavailable=partial(not_installed, "tritonclient", "triton", INSTALL),
        install=INSTALL,
        package="tritonclient",
        automatic=False,
        at=at,
    )


BACKEND: Final = at("")
