"""Prints what this Jetson is and the memory plan for it.

python -m emorec_jetson            for the reference model
python -m emorec_jetson BUNDLE     for a bundle
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emorec_rt.bundle import open_bundle
from emorec_rt.cli.exits import exit_codes
from emorec_rt.machine.jetson.module import Module, desktop_runs, read_module
from emorec_rt.machine.jetson.plan import REFERENCE, VARIANTS, MemoryPlan, ModelSize, plan_memory


def describe(module: Module, plan: MemoryPlan, bundle: str = "BUNDLE") -> str:
    """Module and plan as lines for a person, and the command that builds by it."""
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
        f"plan: {plan.kind}, batch {plan.batch}, workspace {plan.workspace_mib} MiB",
        *(f"  {reason}" for reason in plan.reasons),
        f"build: emorec-rt build {bundle} --precision {VARIANTS[plan.kind]} --max-batch {plan.batch} "
        f"--workspace {plan.workspace_mib}",
    ]
    return "\n".join(lines)


@exit_codes()
def main() -> None:
    """Print it; exit code 1 when this is not a Jetson."""
    parser = argparse.ArgumentParser(
        prog="python -m emorec_jetson", description="This Jetson, and a memory plan."
    )
    parser.add_argument(
        "bundle", nargs="?", type=Path, help="what is to be run (default: the reference model)"
    )
    parser.add_argument("--desktop", action="store_true", help="plan for a desktop that isn't open now")
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    module = read_module(given.root)
    model = ModelSize.of_bundle(open_bundle(given.bundle).manifest) if given.bundle else REFERENCE
    desktop = given.desktop or desktop_runs(given.root)
    plan = plan_memory(module.memory.total_mib, desktop=desktop, model=model)
    sys.stdout.write(describe(module, plan, str(given.bundle or "BUNDLE")) + "\n")


if __name__ == "__main__":
    main()
