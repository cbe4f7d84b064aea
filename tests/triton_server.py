"""A server that speaks Triton's HTTP protocol (KServe, version 2, with binary tensors), for tests.

It serves a model repository through ONNX Runtime: names, tensors and types are those of ``config.pbtxt``.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

LENGTH = "Inference-Header-Content-Length"
TENSOR = re.compile(r'name: "(\w+)" data_type: TYPE_(\w+) dims: \[ ([\d, ]+) \]')
DTYPES = {"UINT8": np.uint8, "FP32": np.float32}


class Model:
    """One model of a repository."""

    def __init__(self, folder: Path) -> None:
        text = (folder / "config.pbtxt").read_text()
        self.most = int(re.findall(r"max_batch_size: (\d+)", text)[0])
        inputs, outputs = text.split("\noutput [")
        self.inputs, self.outputs = self._tensors(inputs), self._tensors(outputs)
        self.session = onnxruntime.InferenceSession(folder / "1" / "model.onnx")

    def _tensors(self, text: str) -> list[dict[str, Any]]:
        return [
            {"name": name, "datatype": kind, "shape": [-1, *map(int, dims.split(","))]}
            for name, kind, dims in TENSOR.findall(text)
        ]

    def infer(self, head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        feeds, offset = {}, 0
        for tensor in head["inputs"]:
            size = tensor["parameters"]["binary_data_size"]
            flat = np.frombuffer(data[offset : offset + size], DTYPES[tensor["datatype"]])
            feeds[tensor["name"]] = flat.reshape(tensor["shape"])
            offset += size
        names = [output["name"] for output in head["outputs"]]
        results = dict(zip(names, self.session.run(names, feeds), strict=True))
        told = [
            {
                "name": name,
                "datatype": "FP32",
                "shape": list(array.shape),
                "parameters": {"binary_data_size": array.nbytes},
            }
            for name, array in results.items()
        ]
        return {"outputs": told}, b"".join(array.tobytes() for array in results.values())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    models: dict[str, Model]

    def do_GET(self) -> None:
        name, _, question = self.path.removeprefix("/v2/models/").partition("/")
        model = self.models.get(name)
        if model is None:
            self._answer(404, {"error": f"unknown model: '{name}' is not found"})
        elif question == "ready":
            self._answer(200, None)
        else:
            self._answer(200, {"name": name, "inputs": model.inputs, "outputs": model.outputs})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model = self.models[self.path.removeprefix("/v2/models/").removesuffix("/infer")]
        split = int(self.headers.get(LENGTH, len(body)))
        head = json.loads(body[:split])
        batch = head["inputs"][0]["shape"][0]
        if batch > model.most:
            self._answer(400, {"error": f"batch-size must be <= {model.most}"})
        else:
            self._answer(200, *model.infer(head, body[split:]))

    def _answer(self, status: int, head: dict[str, Any] | None, data: bytes = b"") -> None:
        text = b"" if head is None else json.dumps(head).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text) + len(data)))
        if data:
            self.send_header(LENGTH, str(len(text)))
        self.end_headers()
        self.wfile.write(text + data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(repository: Path) -> Iterator[tuple[str, dict[str, Model]]]:
    """Serve a repository; gives its ``HOST:PORT``, and its models."""
    models = {folder.name: Model(folder) for folder in repository.iterdir()}
    handler = type("Handler", (_Handler,), {"models": models})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", models
        server.shutdown()
        thread.join()
