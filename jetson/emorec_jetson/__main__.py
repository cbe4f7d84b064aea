"""Prints what this Jetson is and the memory plan for it.

python -m emorec_jetson
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emorec_jetson.errors import JetsonError
from emorec_jetson.module import Module, read_module
from emorec_jetson.plan import MemoryPlan, plan_memory

VARIANTS = {"fp16": "fp16", "int8": "int8-fp16"}
"""The bundle's variant for TensorRT of each precision: its INT8 has FP16 scales."""


def describe(module: Module, plan: MemoryPlan) -> str:
    """Module and plan as lines for a person."""
    jetpack = module.jetpack
    release = (
        f"JetPack {jetpack.name}, TensorRT {jetpack.tensorrt}" if jetpack else "a JetPack not listed here"
    )
    clocks = (
        f"{len(module.cpu_mhz)} cores up to {max(module.cpu_mhz)} MHz" if module.cpu_mhz else "clocks unknown"
    )
    gpu = f", GPU up to {module.gpu_mhz} MHz" if module.gpu_mhz else ""
    lines = [
        module.model,
        f"Jetson Linux {module.l4t} ({release})",
        f"{module.memory.total_mib} MiB of memory, {module.memory.available_mib} free; {clocks}{gpu}",
        f"plan: {plan.precision}, batch {plan.batch}, workspace {plan.workspace_mib} MiB",
        *(f"  {reason}" for reason in plan.reasons),
        f"build: emorec-rt build BUNDLE --precision {VARIANTS[plan.precision]} --max-batch {plan.batch} "
        f"--workspace {plan.workspace_mib}",
    ]
    return "\n".join(lines)


def main() -> int:
    """Print it; 1 when this is no Jetson."""
    parser = argparse.ArgumentParser(
        prog="python -m emorec_jetson", description="This Jetson, and a memory plan."
    )
    parser.add_argument("--desktop", action="store_true", help="a graphical desktop runs beside it")
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        module = read_module(given.root)
    except JetsonError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(describe(module, plan_memory(module.memory.total_mib, desktop=given.desktop)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
