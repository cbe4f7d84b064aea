"""Tables of training: scores, and the speed of its stages."""

from __future__ import annotations

from tables.layout import Result, figures, limit, machine_line, measured, table


def training(result: Result) -> str:
    """Macro F1 by stream and seed."""
    rows = (
        [
            run["seed"],
            *(f"{run['macro_f1'][mode]:.3f}" for mode in ("visual", "audio", "both")),
            f"{run['minutes']:.1f} min",
        ]
        for run in result["runs"]
    )
    drawn = table(["seed", "picture alone", "sound alone", "both", "training"], rows)
    return f"{drawn}\n\nMacro F1 on held-out generated clips. {machine_line(result)}"


def multitask(result: Result) -> str:
    """Classes alone beside classes with measures, with all labels and with half of them."""
    head = ["trained on", "macro F1, mean", "by seed", "CCC", "macro F1 of action units"]
    rows = (
        [
            name,
            f"{row['mean']['macro_f1']:.3f}",
            ", ".join(f"{run['macro_f1']:.3f}" for run in row["runs"].values()),
            *(f"{row['mean'][key]:.3f}" if key in row["mean"] else "" for key in ("ccc", "au_f1")),
        ]
        for name, row in result["rows"].items()
    )
    return measured(head, rows, result, f"{len(result['seeds'])} seeds. ")


def ablation(result: Result) -> str:
    """Worth of each part of the model, and the conclusion."""
    rows = ([name, f"{row['mean']:.3f}", f"{row['std']:.3f}"] for name, row in result["rows"].items())
    head = f"macro F1, {result['split']} clips, {len(result['seeds'])} seeds"
    drawn = table([head, "mean", "standard deviation"], rows)
    verdicts = "\n".join(f"- {verdict}" for verdict in result["verdicts"])
    return f"{drawn}\n\n{verdicts}\n\nBy `{result['command']}`."


def features(result: Result) -> str:
    """Features beside the visual encoder alone."""
    alone = result["vision_frames_per_second"][str(result["best_batch"])]
    rows = [
        [f"visual encoder alone, batch {result['best_batch']}", f"{alone:.1f} frames/s", ""],
        [
            "decoding, cropping, both encoders, writing",
            f"{result['features_frames_per_second']:.1f} frames/s",
            "",
        ],
        ["share", f"{result['share']:.2f}", limit(f">= {result['limit']:g}", result["share"])],
    ]
    return measured(["full size, random weights", "measured", "limit"], rows, result)


def head_training(result: Result) -> str:
    """Training the fusion from cached features."""
    name = f"reference's fusion, batch {result['batch']}, {result['threads']} threads"
    speed = result["windows_per_second"]
    rows = [[name, f"{speed:.1f} windows/s", limit(f">= {result['limit']:g}", speed)]]
    return measured(["features of random content", "measured", "limit"], rows, result)


def prior_correction(result: Result) -> str:
    """Macro F1 of each strength of logit adjustment, by the decoding's search."""
    head = ["trained with", "plain", "tuned, 0 to 1", "tuned, -1 to 1"]
    rows = [
        [name, f"{own['plain']:.3f}", f"{own['0 to 1']:.3f}", f"{own['-1 to 1']:.3f}"]
        for name, own in result["macro_f1"].items()
    ]
    separations = ", ".join(f"{value:g}" for value in result["separations"])
    return measured(head, rows, result, f"{result['seeds']} seeds at separations {separations}. ")


def submission(result: Result) -> str:
    """Writing and checking a submission."""
    rows = (
        [f["name"], f"{f['rows']:,}", f"{f['seconds']:.1f} s", f"{f['peak_mib']:.0f} MiB"]
        for f in result["figures"]
    )
    limits = f"Limits for 228 sequences: {result['limit_seconds']:g} s, {result['limit_mib']:g} MiB. "
    return measured(["what", "rows", "time", "peak memory"], rows, result, limits)


def students(result: Result) -> str:
    """A student beside its teacher, and the limits."""
    return figures("edge-s on a large teacher of real faces", result["figures"], result)


def student_towers(result: Result) -> str:
    """Visual towers: cost and time of a frame."""
    rows = (
        [
            row["name"],
            f"{row['gmacs']:.2f}",
            f"{row['parameters'] / 1e6:.1f} million",
            f"{row['milliseconds']:.2f} ms",
        ]
        for row in result["rows"]
    )
    head = ["visual tower", "GMAC a frame", "parameters", "a frame"]
    return measured(head, rows, result, f"PyTorch, FP32, random weights, batches of {result['batch']}. ")
