# ruff: noqa: ARG002 - signatures are the real ones
"""torch-tensorrt's calls, as releases from 2.8 to 2.14 take them, over plain torch on the CPU.

Signatures are those of the wheels. ``compile`` gives the program's own graph module, so ``save`` and
everything after it are torch's real code on a real program.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from emorec_torch.tensorrt import Libraries


class TorchTensorRT:
    """The module ``torch_tensorrt``.

    Attributes:
        compiled: The options of each ``dynamo.compile``.
        bend: What is done to the saved program's first weight, to make it wrong.
    """

    def __init__(self, version: str) -> None:
        self.__version__ = version
        self.compiled: list[dict[str, Any]] = []
        self.bend = 1.0
        recent = tuple(int(part) for part in version.split(".")[:2]) >= (2, 12)
        self.dynamo = SimpleNamespace(compile=self._compile_2_14 if recent else self._compile_2_8)
        self.save = self._save_2_14 if recent else self._save_2_8

    def Input(self, *, min_shape: Any, opt_shape: Any, max_shape: Any, dtype: Any) -> Any:  # noqa: N802
        assert min_shape[1:] == opt_shape[1:] == max_shape[1:]
        return SimpleNamespace(batch=(min_shape[0], opt_shape[0], max_shape[0]), dtype=dtype)

    def _compile_2_8(
        self,
        exported_program: Any,
        inputs: Any = None,
        *,
        arg_inputs: Any = None,
        disable_tf32: bool = False,
        enabled_precisions: Any = frozenset({torch.float32}),
        workspace_size: int = 0,
        version_compatible: bool = False,
        optimization_level: int | None = None,
        hardware_compatible: bool = False,
        use_explicit_typing: bool = False,
        immutable_weights: bool = True,
        **kwargs: Any,
    ) -> torch.fx.GraphModule:
        assert not kwargs
        assert enabled_precisions == {torch.float32}, "explicit typing allows no others"
        options = {"workspace_size": workspace_size, "use_explicit_typing": use_explicit_typing}
        return self._compiled(exported_program, arg_inputs, optimization_level, **options)

    def _compile_2_14(
        self,
        exported_program: Any,
        inputs: Any = None,
        *,
        arg_inputs: Any = None,
        disable_tf32: bool = False,
        workspace_size: int = 0,
        version_compatible: bool = False,
        optimization_level: int | None = None,
        hardware_compatible: bool = False,
        immutable_weights: bool = True,
        attn_bias_is_causal: bool = True,
        **kwargs: Any,
    ) -> torch.fx.GraphModule:
        assert not kwargs
        assert not attn_bias_is_causal
        return self._compiled(exported_program, arg_inputs, optimization_level, workspace_size=workspace_size)

    def _compiled(self, program: Any, arg_inputs: Any, level: int | None, **options: Any) -> Any:
        assert [tensor.dtype for tensor in arg_inputs] == [
            node.meta["val"].dtype
            for node in program.graph.nodes
            if node.name in program.graph_signature.user_inputs
        ]
        self.compiled.append({"batch": arg_inputs[0].batch, "optimization_level": level, **options})
        self._program = program
        return program.module()

    def _save_2_8(
        self,
        module: Any,
        file_path: str = "",
        *,
        output_format: str = "exported_program",
        inputs: Any = None,
        arg_inputs: Any = None,
        kwarg_inputs: Any = None,
        retrace: bool = False,
        pickle_protocol: int = 2,
        **kwargs: Any,
    ) -> None:
        assert not retrace, "without shapes it would freeze the batch of the examples"
        self._write(self._program, file_path)

    def _save_2_14(
        self,
        module: Any,
        file_path: str = "",
        *,
        extra_files: Any = None,
        output_format: str = "exported_program",
        inputs: Any = None,
        arg_inputs: Any = None,
        kwarg_inputs: Any = None,
        retrace: bool = True,
        use_legacy_exporter: bool | None = None,
        pickle_protocol: int = 2,
        dynamic_shapes: Any = None,
        **kwargs: Any,
    ) -> None:
        assert dynamic_shapes is not None
        program = torch.export.export(module, tuple(arg_inputs), dynamic_shapes=dynamic_shapes, strict=False)
        self._write(program, file_path)

    def _write(self, program: Any, file_path: str) -> None:
        if self.bend != 1.0:
            with torch.no_grad():
                for parameter in program.state_dict.values():
                    parameter.mul_(self.bend)
        torch.export.save(program, file_path)


def libraries(version: str = "2.14.0") -> Libraries:
    """torch with a made-up GPU, and the double."""
    cuda = SimpleNamespace(
        get_device_name=lambda: "NVIDIA Test", get_device_capability=lambda: (9, 0), is_available=lambda: True
    )
    names = ("export", "from_numpy", "inference_mode", "__version__")
    module = SimpleNamespace(cuda=cuda, **{name: getattr(torch, name) for name in names})
    return Libraries(module, TorchTensorRT(version))
