"""Every name, call form and result that the backend relies on, in the bindings of one release."""

from __future__ import annotations

import pytest
import signatures
import tensorrt as trt
import used_names

USES = used_names.uses()
TENSORRT = [use for use in USES if use.owner != "CudaRuntime"]
RETURNS = {
    "Builder.create_network": "INetworkDefinition",
    "Builder.create_builder_config": "IBuilderConfig",
    "Builder.create_optimization_profile": "IOptimizationProfile",
    "Builder.build_serialized_network": "IHostMemory",
    "OnnxParser.parse_from_file": "bool",
    "ParserError.node": "int",
    "ParserError.node_name": "str",
    "ParserError.node_operator": "str",
    "ParserError.desc": "str",
    "IBuilderConfig.add_optimization_profile": "int",
    "IBuilderConfig.get_memory_pool_limit": "int",
    "IBuilderConfig.get_flag": "bool",
    "IBuilderConfig.create_timing_cache": "ITimingCache",
    "IBuilderConfig.set_timing_cache": "bool",
    "IBuilderConfig.get_timing_cache": "ITimingCache",
    "ITimingCache.serialize": "IHostMemory",
    "Runtime.deserialize_cuda_engine": "ICudaEngine",
    "ICudaEngine.create_execution_context": "IExecutionContext",
    "ICudaEngine.create_engine_inspector": "EngineInspector",
    "EngineInspector.get_engine_information": "str",
    "ICudaEngine.get_tensor_name": "str",
    "ICudaEngine.get_tensor_dtype": "DataType",
    "ICudaEngine.get_tensor_mode": "TensorIOMode",
    "ICudaEngine.get_tensor_shape": "Dims",
    "IExecutionContext.set_optimization_profile_async": "bool",
    "IExecutionContext.set_tensor_address": "bool",
    "IExecutionContext.set_input_shape": "bool",
    "IExecutionContext.get_tensor_shape": "Dims",
    "IExecutionContext.execute_async_v3": "bool",
}


def _name(use: used_names.Use) -> str:
    return f"{use.where}-{use.owner}.{'.'.join(use.path)}"


def _look_up(use: used_names.Use) -> object:
    found: object = trt if use.owner == "TensorRT" else getattr(trt, use.owner)
    for member in use.path:
        assert hasattr(found, member), (
            f"{use.where}: {use.owner}.{'.'.join(use.path)} is not in {trt.__version__}"
        )
        found = getattr(found, member)
    return found


def test_the_source_was_read() -> None:
    """The walk found each file's objects; an annotation that got lost would leave its class out."""
    owners = {use.owner for use in USES}
    # These three are only subclassed or turned into bytes.
    assert owners == used_names.aliases() - {"ILogger", "IProgressMonitor", "IHostMemory"}
    assert len(TENSORRT) > 60
    assert {override.base for override in used_names.overrides()} == {"ILogger", "IProgressMonitor"}


@pytest.mark.parametrize("use", TENSORRT, ids=_name)
def test_name_and_call_form(use: used_names.Use) -> None:
    found = _look_up(use)
    if use.arguments is None:
        return
    count, keywords = use.arguments
    if isinstance(found, type):
        found = found.__init__  # type: ignore[misc]
    elif use.path[-1] == "__init__":
        count -= 1  # Base.__init__(self)
    assert signatures.accepts(found, count, keywords), f"{use.where}: {found.__doc__}"


@pytest.mark.parametrize("override", used_names.overrides(), ids=str)
def test_overridden_methods_are_the_real_ones(override: used_names.Override) -> None:
    (signature,) = signatures.overloads(getattr(getattr(trt, override.base), override.method))
    assert tuple(signature.parameters) == override.parameters


@pytest.mark.parametrize("method", RETURNS)
def test_results(method: str) -> None:
    owner, name = method.split(".")
    assert signatures.returns(getattr(getattr(trt, owner), name)) == {RETURNS[method]}


def test_every_result_that_is_relied_on_is_listed() -> None:
    methods = {(use.owner, use.path[0]): _look_up(use) for use in TENSORRT if use.owner != "TensorRT"}
    results = {f"{owner}.{name}": signatures.returns(found) for (owner, name), found in methods.items()}
    lists = {"ICudaEngine.get_tensor_profile_shape", "IExecutionContext.infer_shapes"}
    never_none = {"OnnxParser.get_error", "INetworkDefinition.get_input"}
    relied_on = {name for name, found in results.items() if found and found != {"None"}}
    assert relied_on - lists - never_none == set(RETURNS)


def test_a_double_refuses_what_the_real_class_refuses() -> None:
    context = signatures.honest(trt.IExecutionContext, set_input_shape=True)
    assert context.set_input_shape("frames", (1, 2))
    with pytest.raises(AssertionError, match="takes no"):
        context.set_input_shape("frames")
    with pytest.raises(AssertionError, match="takes no"):
        context.set_input_shape(1, (1, 2))
    with pytest.raises(AssertionError, match="not expected"):
        context.infer_shapes()
    with pytest.raises(AttributeError):
        context.execute_async_v2(1)
