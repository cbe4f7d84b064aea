"""Tables of the pages: one function a table, from ``results/*.json`` to Markdown."""

from __future__ import annotations

from collections.abc import Callable

from tables import engines, many, people, running, training
from tables.layout import NOT_MEASURED, Result

__all__ = ["NOT_MEASURED", "PARITY", "TABLES"]

PARITY = "runtime/emorec_rt/default/manifest.json"

TABLES: dict[str, tuple[str | tuple[str, ...], Callable[[Result], str]]] = {
    "demo": (("first_run",), lambda results: running.demo(results["first_run"])),
    "speed": (("first_run", "throughput", "live"), running.speed),
    "first_run": ("first_run", running.first_run),
    "training": ("training", training.training),
    "multitask": ("multitask", training.multitask),
    "students": ("students", training.students),
    "student_towers": ("student_towers", training.student_towers),
    "ablation": ("ablation", training.ablation),
    "people_ablation": ("people_ablation", training.ablation),
    "real_material": ("real_material", people.real_material),
    "sound": ("sound", people.sound),
    "parity": (PARITY, engines.parity),
    "people": ("people", people.people),
    "people_short": ("people", people.people_short),
    "people_classes": ("people", people.people_classes),
    "people_int8": ("people", people.people_int8),
    "cpu_engines": ("cpu_engines", engines.cpu_engines),
    "auto": ("auto", engines.auto),
    "auto_limits": ("auto", engines.auto_limits),
    "export_full_size": ("export_full_size", engines.export_full_size),
    "rtx_engines": ("rtx_engines", engines.rtx_engines),
    "features": ("features", training.features),
    "head_training": ("head_training", training.head_training),
    "prior_correction": ("prior_correction", training.prior_correction),
    "submission": ("submission", training.submission),
    "throughput": ("throughput", engines.throughput),
    "throughput_ratios": ("throughput", engines.throughput_ratios),
    "live": ("live", running.live),
    "installs": ("installs", running.installs),
    "page": ("page", running.page),
    "serve": ("serve", running.serve),
    "agreement": ("agreement", engines.agreement),
    "outliers": ("outliers", engines.outliers),
    "fast_modes": ("fast_modes", running.fast_modes),
    "keep_up": ("keep_up", running.keep_up),
    "keep_up_live": ("keep_up", running.keep_up_live),
    "folders": ("folders", many.folders),
    "cluster": ("cluster", many.cluster),
    "million_hours": (("folders", "throughput"), many.million_hours),
    "fuzz": ("fuzz", running.fuzz),
    "kills": ("kills", running.kills),
    "streams": ("streams", running.streams),
    "arm64_wheels": ("arm64_wheels", engines.arm64_wheels),
}
"""By the name of a page's block: the measurement that it shows, or a JSON file of the repository, or several
measurements by their names; and how."""
