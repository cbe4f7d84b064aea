"""Findings of ``emorec-rt doctor`` about a Jetson."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from emorec_rt.cli.doctor.finding import Finding
from emorec_rt.machine.jetson import nvpmodel
from emorec_rt.machine.jetson.errors import JetsonError
from emorec_rt.machine.jetson.installation import APT, UNSEEN, intruders, system_tensorrt, tensorrt_origin
from emorec_rt.machine.jetson.module import RELEASE, Module, desktop_runs, read_module
from emorec_rt.machine.jetson.plan import VARIANTS, plan_memory

TOOLS: Final = ("nvpmodel", "tegrastats", "jetson_clocks")
LOW_MIB: Final = 1024
"""Free memory under which a run of the reference model is likely to be ended by the kernel."""


def jetson_findings(root: Path = Path("/")) -> Iterator[Finding]:
    """Everything about the module, or nothing where there is none."""
    if not (root / RELEASE).is_file():
        return
    try:
        module = read_module(root)
    except JetsonError as error:
        yield Finding("jetson", "optional", str(error))
        return
    yield Finding("jetson", "ok", module.model)
    yield _release(module)
    yield _power_mode(root)
    yield _clocks(module)
    yield _memory(module)
    yield _plan(module, root)
    yield _tensorrt(root)
    yield _pip()
    yield _tools()


def _release(module: Module) -> Finding:
    jetpack, line = module.jetpack, f"Jetson Linux {module.l4t}"
    if jetpack is None:
        return Finding("jetpack", "optional", f"{line}, a release that emorec doesn't know")
    line = f"{line}, JetPack {jetpack.name}, CUDA {jetpack.cuda}, TensorRT {jetpack.tensorrt}"
    if jetpack.containerfile is None:
        return Finding("jetpack", "optional", line, "upgrade to JetPack 6.1 or later, for TensorRT 10.3")
    return Finding("jetpack", "ok", line)


def _power_mode(root: Path) -> Finding:
    try:
        modes = ", ".join(f"{mode.number} {mode.name}" for mode in nvpmodel.read_modes(root))
    except JetsonError as error:
        return Finding("power mode", "optional", str(error))
    try:
        return Finding("power mode", "ok", f"{nvpmodel.current().name}; there are {modes}")
    except JetsonError as error:
        return Finding("power mode", "optional", f"there are {modes}; {error}")


def _clocks(module: Module) -> Finding:
    if not module.cpu_mhz:
        return Finding("clocks", "optional", "can't be read")
    held = {None: "", True: ", held there (jetson_clocks)", False: ", as the load asks"}[module.clocks_held]
    gpu = f", GPU up to {module.gpu_mhz} MHz" if module.gpu_mhz else ""
    return Finding("clocks", "ok", f"{len(module.cpu_mhz)} cores up to {max(module.cpu_mhz)} MHz{gpu}{held}")


def _memory(module: Module) -> Finding:
    line = f"{module.memory.total_mib} MiB for Linux, CPU and GPU, {module.memory.available_mib} free"
    if module.memory.available_mib < LOW_MIB:
        return Finding("jetson memory", "optional", line, "end other programs, or add swap")
    return Finding("jetson memory", "ok", line)


def _plan(module: Module, root: Path) -> Finding:
    plan = plan_memory(module.memory.total_mib, desktop=desktop_runs(root))
    line = f"{VARIANTS[plan.kind]}, batch {plan.batch}, workspace {plan.workspace_mib} MiB, one context"
    if not plan.fits:
        return Finding("memory plan", "optional", line, plan.reasons[-1])
    return Finding("memory plan", "ok", f"{line} (reference model)")


def _tensorrt(root: Path) -> Finding:
    origin, system = tensorrt_origin(), system_tensorrt(root)
    if origin is None and system is not None:
        line = f"{system} is not seen by this Python ({sys.prefix})"
        return Finding("jetpack tensorrt", "optional", line, UNSEEN)
    if origin is None:
        return Finding("jetpack tensorrt", "optional", "not installed", APT)
    if origin.is_relative_to(sys.prefix) and sys.prefix != sys.base_prefix:
        return Finding("jetpack tensorrt", "optional", f"{origin} came from pip", "pip uninstall tensorrt")
    return Finding("jetpack tensorrt", "ok", f"JetPack's, {origin.parent}")


def _pip() -> Finding:
    # Outside of an environment everything lies under one prefix, JetPack's packages too.
    found = intruders(Path(sys.prefix), metadata.distributions()) if sys.prefix != sys.base_prefix else []
    if found:
        line = f"{', '.join(found)} from pip in their place"
        return Finding("jetpack libraries", "optional", line, "pip uninstall them")
    return Finding("jetpack libraries", "ok", "nothing from pip in their place")


def _tools() -> Finding:
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not absent:
        return Finding("jetson tools", "ok", ", ".join(TOOLS))
    line, advice = f"without {', '.join(absent)}", "nothing: they belong to the host, not to a container"
    return Finding("jetson tools", "optional", line, advice)
