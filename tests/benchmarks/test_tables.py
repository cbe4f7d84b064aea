"""Measurements become the tables of the pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import readme
import tables

MACHINE = {"cpu": "Some CPU", "cores": 2, "python": "3.12.1", "date": "2026-01-02"}
RAN = {
    "times_real_time": 4.0,
    "frames_per_second": 100.0,
    "first_row_seconds": None,
    "peak_mib": 800.4,
    "note": "",
}
FIGURE = {"name": "calibration", "value": 12.34, "unit": "s", "limit": "<= 900"}


def _figure(section: str, method: str, value: float) -> dict[str, object]:
    bounds = {"low": value - 0.01, "high": value + 0.01, "count": 100}
    return {
        "section": section,
        "material": "FER+ valid",
        "method": method,
        "measure": "accuracy",
        "value": value,
    } | bounds


RESULTS: dict[str, dict[str, Any]] = {
    "first_run": {"figures": [{**FIGURE, "limit": "< 2"}], "transcript": "500 rows"},
    "training": {
        "runs": [{"seed": 3, "minutes": 5.25, "macro_f1": {"visual": 0.5, "audio": 0.6, "both": 0.9}}]
    },
    "installs": {
        "installs": [{"extra": "cpu", "packages": 9, "mib": 1234, "seconds": 12.6, "limit_mib": 600}],
    },
    "head_training": {"batch": 16, "threads": 2, "windows_per_second": 31.25, "limit": 20.0},
    "ablation": {
        "split": "test",
        "seeds": [0, 1],
        "rows": {"concatenation": {"mean": 0.7, "std": 0.02}, "bi-directional": {"mean": 0.75, "std": 0.01}},
        "verdicts": ["bi-directional beats concatenation: +0.050"],
        "command": "run.py --ablate",
    },
    "real_material": {
        "kinds": {
            "face": {
                "clips": 3,
                "accuracy": 0.3,
                "interval": [0.1, 0.6],
                "unweighted_recall": 0.2,
                "chance": 0.125,
            }
        }
    },
    "sound": {
        "clips": 40,
        "speakers": 9,
        "chance": 0.1429,
        "average_recall": 0.31,
        "interval_95": [0.25, 0.37],
        "untrained": {"average_recall": 0.2, "interval_95": [0.15, 0.26]},
    },
    "auto": {
        "load_average": 0.1,
        "cases": [
            {"bundle": "random", "precision": "int8", "taken": "openvino", "speeds": {"openvino": 5.0}}
        ],
        "figures": [{**FIGURE, "limit": "<= 5"}],
    },
    "cpu_engines": {
        "batch": 16,
        "figures": [
            {
                "graph": "vision",
                "engine": "openvino int8",
                "batch_ms": 10.0,
                "items_per_second": 1600.0,
                "times_reference": 3.5,
                "limit": 3.0,
            }
        ],
    },
    "export_full_size": {"figures": [FIGURE]},
    "features": {
        "vision_frames_per_second": {"8": 20.0},
        "best_batch": 8,
        "features_frames_per_second": 18.0,
        "share": 0.9,
        "limit": 0.8,
    },
    "submission": {
        "limit_seconds": 10.0,
        "limit_mib": 300.0,
        "figures": [{"name": "write", "rows": 1022655, "seconds": 1.0, "peak_mib": 78.0}],
    },
    "throughput": {
        "backend": "openvino",
        "contenders": {"ours": RAN, "CUDA": {"skipped": "no GPU"}},
        "ratios": [{"name": "speed", "value": 4.0, "unit": "x real time", "limit": ">= 3.5"}],
    },
    "live": {
        "seconds": 600.0,
        "sent": 15000,
        "lost": 0,
        "p50_seconds": 0.4,
        "p95_seconds": 0.6,
        "max_seconds": 0.9,
        "limits": {"p95_seconds": 1.0, "lost": 0},
    },
    "keep_up": {
        "limits": {"p95_seconds": 1.5, "agreement": 0.95},
        "loads": [
            {
                "clips": "real",
                "source": "live",
                "load": 2.0,
                "rows": 3243,
                "agreement": 0.98,
                "encoded_share": 0.5,
                "p95_seconds": 1.2,
            }
        ],
        "live": {
            "minutes": 10.0,
            "arguments": ["--precision=int8"],
            "load_average": 0.1,
            "sent": 15000,
            "lost": 0,
            "interpolated_share": 0.5,
            "heard_share": 0.9,
            "p50_seconds": 0.8,
            "p95_seconds": 1.4,
        },
        "steady": [{"clips": "real", "encoded_share": 0.5, "agreement": 0.98}],
    },
    "agreement": {
        "figures": [
            {
                "clips": "real",
                "variant": "int8",
                "count": 9,
                "steps": 4000,
                "agreement": 0.99712,
                "macro_f1_change": None,
            }
        ]
    },
    "outliers": {
        "limit": 0.99,
        "figures": [{"graph": "audio", "norms": 25, "calm": 0.999, "plain": 0.71, "default": 0.995}],
    },
    "fuzz": {
        "files": {"cases": 1000, "outcomes": {"complete": 700, "error": 300}, "faults": []},
        "bundles": {"cases": 50, "outcomes": {"error": 50}, "faults": []},
    },
    "cluster": {
        "clips": 200,
        "seconds_each": 10.0,
        "jobs_seconds": [100.0, 104.0],
        "ray_seconds": [120.0, 118.0],
        "ratio": 1.167,
        "limits": {"ratio": 1.15},
        "killed_seconds": 130.0,
        "same": True,
        "load": 0.1,
    },
    "streams": {"threads": 8, "files": 25, "differing": 0, "speed": 1.25, "limit": 1.0},
    "people": {
        "labels": ["Neutral", "Anger"],
        "confusion": [[8, 2], [1, 3]],
        "figures": [
            _figure("faces", "bundle, fp32", 0.8),
            _figure("faces", "fer", 0.6),
            _figure("int8", "int8", 0.9987),
        ],
    },
    "rtx_engines": {
        "release": "1.7.1",
        "engines": [
            {
                "model": "reference",
                "graph": "vision",
                "precision": "int8-fp16",
                "engine_bytes": 96 << 20,
                "activation_bytes": 30 << 20,
                "kernels": 149,
                "products": {"int8": 72, "fp16": 2},
                "fused_attention": 12,
                "dequantised": 0,
                "same_bytes_twice": True,
            }
        ],
    },
    "arm64_wheels": {
        "answers": [
            {
                "target": "JetPack 6",
                "markers_of": "python3.10",
                "wheels": [{"name": "av", "version": "17.1.0"}],
            }
        ]
    },
}
RESULTS["people_ablation"] = RESULTS["ablation"]
RESULTS["kills"] = {
    "programs": [
        {"name": "cache", "kills": 20, "seconds": 4.56, "results": 38, "differing": [], "left": ["a.part"]}
    ]
}
RESULTS["multitask"] = {
    "seeds": [0, 1],
    "rows": {
        "classes alone": {
            "runs": {"0": {"macro_f1": 0.9}, "1": {"macro_f1": 0.8}},
            "mean": {"macro_f1": 0.85},
        },
        "multi-task": {
            "runs": {
                "0": {"macro_f1": 0.91, "ccc": 0.7, "au_f1": 0.6},
                "1": {"macro_f1": 0.81, "ccc": 0.8, "au_f1": 0.5},
            },
            "mean": {"macro_f1": 0.86, "ccc": 0.75, "au_f1": 0.55},
        },
    },
}
RESULTS["students"] = {
    "figures": [{"name": "speed", "value": 7.5, "unit": "x", "limit": ">= 8"}],
}
RESULTS["student_towers"] = {
    "batch": 8,
    "rows": [{"name": "edge-s", "gmacs": 0.3, "parameters": 3_140_000, "milliseconds": 2.5}],
}

SHOWN = {
    "students": "| speed | 7.50 x | >= 8, **missed** |",
    "student_towers": "| edge-s | 0.30 | 3.1 million | 2.50 ms |",
    "multitask": "| multi-task | 0.860 | 0.910, 0.810 | 0.750 | 0.550 |",
    "people_short": "| photos of faces (FER+), share that is right of 8 classes | 0.80 (0.79 to 0.81) |",
    "head_training": "| reference's fusion, batch 16, 2 threads | 31.2 windows/s | >= 20 |",
    "first_run": "| calibration | 12.34 s | < 2, **missed** |",
    "training": "| 3 | 0.500 | 0.600 | 0.900 | 5.2 min |",
    "people_ablation": "| bi-directional | 0.750 | 0.010 |",
    "ablation": "| bi-directional | 0.750 | 0.010 |",
    "real_material": "| face | 3 | 0.300 | 0.100 to 0.600 | 0.200 | 0.125 |",
    "sound": "| untrained | 0.200 | 0.150 to 0.260 | 0.143 |",
    "auto": "| random | int8 | openvino | 5.00 | it |",
    "auto_limits": "| calibration | 12.34 s | <= 5, **missed** |",
    "cpu_engines": "| vision | openvino int8 | 10.0 ms | 1600.0 | 3.50x | >= 3 |",
    "export_full_size": "| calibration | 12.34 s | <= 900 |",
    "features": "| share | 0.90 | >= 0.8 |",
    "submission": "| write | 1,022,655 | 1.0 s | 78 MiB |",
    "throughput": "| ours | 4.00 | 100.0 | - | 800 MiB |",
    "throughput_ratios": "| speed | 4.00 x real time | >= 3.5 |",
    "live": "| delay, 95th percentile | 0.60 s | <= 1 |",
    "agreement": "| int8 | 9 real | 4000 | 99.712% | - |",
    "outliers": "| audio | 25 | 0.9990 | 0.7100 | 0.9950 |",
    "kills": "| cache | 20 | 4.6 s | 38 | 0 | 1 |",
    "fuzz": "| files | 1000 | 700 complete, 300 error | 0 |",
    "cluster": "| the second beside the first | 1.17x | <= 1.15, **missed** |",
    "streams": "| threads beside one | 1.25 x | >= 1.0 |",
    "people": "| FER+ valid | accuracy | 0.800 (0.790 to 0.810) | 0.600 (0.590 to 0.610) |",
    "people_classes": "| Anger | 4 | 0.75 | Neutral 25% |",
    "people_int8": "| FER+ valid | accuracy | 99.87% | 100 |",
    "rtx_engines": "| reference, vision | int8-fp16 | 96.0 MiB | 30.0 MiB | 149 | 2 fp16, 72 int8 | 12 | 0 |",
    "arm64_wheels": "| JetPack 6 | python3.10 | av 17.1.0 |",
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_row(name: str) -> None:
    source, table = tables.TABLES[name]
    assert isinstance(source, str)
    lines = table({"machine": MACHINE, **RESULTS[source]}).splitlines()
    assert SHOWN[name] in lines
    bars = {line.count("|") for line in lines if line.startswith("|")}
    assert len(bars) == 1


@pytest.mark.parametrize("name", tables.TABLES)
def test_committed_measurements_can_be_shown(name: str) -> None:
    assert readme.body(name)


def test_the_default_bundle_has_a_row_for_each_variant() -> None:
    variants = json.loads((readme.ROOT / tables.PARITY).read_text())["parity"]["variants"]
    for variant in variants:
        assert f"\n| {variant} | " in readme.body("parity")


def test_a_page_is_filled_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    page = "before\n<!-- table:first_run -->\nold\n<!-- end -->\nbetween\n<!-- table:live -->\n<!-- end -->\n"
    (tmp_path / "first_run.json").write_text(json.dumps({"machine": MACHINE, **RESULTS["first_run"]}))
    filled = readme.filled(page)
    assert "| calibration | 12.34 s | < 2, **missed** |" in filled
    assert "old" not in filled
    assert filled.endswith("between\n<!-- table:live -->\nNot measured yet.\n<!-- end -->\n")
    assert readme.filled(filled) == filled


def test_each_machine_has_a_table_and_the_newest_is_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    for name, date, cpu in (("amd", "2026-01-02", "Zen"), ("intel-amx", "2026-03-04", "Xeon")):
        own = {**MACHINE, "date": date, "cpu": cpu, "isa": ["AVX2", "AMX"]}
        record = {"machine": own, **RESULTS["first_run"], "transcript": cpu}
        (tmp_path / f"first_run.{name}.json").write_text(json.dumps(record))
    body = readme.body("first_run")
    assert body.index("Xeon with AVX2, AMX, ") < body.index("Zen with AVX2, AMX, ")
    assert "Zen" not in readme.body("demo")


def test_an_unknown_table_is_an_error() -> None:
    with pytest.raises(click.ClickException, match="no table mood"):
        readme.filled("<!-- table:mood -->\n<!-- end -->\n")


@pytest.mark.parametrize("page", readme.PAGES, ids=lambda page: page.name)
def test_marks_of_the_pages_are_whole(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = re.findall(r"^<!-- table:(\w+) -->$", text, re.M)
    assert len(names) == text.count("<!-- table:") == len(re.findall(r"^<!-- end -->$", text, re.M))
    assert set(names) <= tables.TABLES.keys()
    assert [match["name"] for match in readme.BLOCK.finditer(text)] == names
