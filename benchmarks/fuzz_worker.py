"""A process that many damaged files go through, one line of JSON out for each line of JSON in.

    python benchmarks/fuzz_worker.py recognise OUT
    python benchmarks/fuzz_worker.py reference

A file that kills or stops the process is its parent's to notice. ``recognise`` runs the default bundle as
``emorec-rt`` does and writes into the folder OUT; ``reference`` decodes with PyAV alone and counts frames.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TextIO

Answer = dict[str, Any]


def recogniser(out: Path) -> Callable[[Path, bool], Answer]:
    """Load the engines; the function that comes back runs one file."""
    import emorec_rt
    from emorec_rt.jobs.plan import Job, Output
    from emorec_rt.jobs.reporter import Reporter
    from emorec_rt.jobs.session import Session

    class Lines(Reporter):
        def say(self, line: str) -> None:
            lines.append(line)

    lines: list[str] = []
    loaded = emorec_rt.load(threads=1)

    def run(path: Path, annotate: bool) -> Answer:
        table, video = out / f"{path.name}.csv", out / f"{path.name}.mp4"
        outputs = (Output(table, "csv"), *((Output(video, "mp4"),) if annotate else ()))
        lines.clear()
        totals = Session(loaded, [Job(path, outputs)], Lines()).run()
        errors = [line for line in lines if line.startswith("error: ")]
        answer: Answer = {
            "outcome": "failed" if totals.failed else "done",
            "errors": errors,
            "warnings": len(lines) - len(errors),
            "rows": None,
            "complaint": _complaint(totals.failed, errors, out),
        }
        if table.is_file():
            answer["rows"], wrong = check_table(table)
            answer["complaint"] = answer["complaint"] or wrong
        for written in out.iterdir():
            written.unlink()
        return answer

    return run


def _complaint(failed: int, errors: list[str], out: Path) -> str | None:
    """Fault in the way in which a file ended; ``None`` where there is none."""
    if bool(failed) != bool(errors):
        return f"failed is {failed}, with {len(errors)} error lines"
    if any("\n" in error or len(error) > 600 for error in errors):
        return "an error is no line"
    left = [path.name for path in out.iterdir() if path.suffix == ".part"]
    return f"left {left}" if left else None


def check_table(table: Path) -> tuple[int, str | None]:
    """Count the rows of a result, and say what is wrong with them."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = [float(row["time_seconds"]) for row in rows]
    if not rows:
        return 0, "a result without rows"
    if any(later <= earlier for earlier, later in pairwise(times)):
        return len(rows), "times that don't increase"
    if [int(row["frame"]) for row in rows] != list(range(len(rows))):
        return len(rows), "rows are missing"
    names = [name for name in rows[0] if name[:1].isupper()]
    sums = [sum(float(row[name]) for name in names) for row in rows]
    if not all(abs(total - 1.0) <= 0.01 for total in sums):  # which NaN isn't
        return len(rows), "probabilities that don't sum to 1"
    return len(rows), None


def reference(path: Path, _annotate: bool) -> Answer:
    """Count what PyAV decodes, up to its first error, of the tracks that FFmpeg calls the best ones."""
    import av
    import av.error

    av.logging.set_level(None)
    answer: Answer = {"frames": 0, "sound_seconds": 0.0, "format": None}
    kinds: tuple[Literal["video", "audio"], ...] = ("video", "audio")
    for kind in kinds:
        with suppress(av.error.FFmpegError, ValueError, OSError, RuntimeError):
            _count(path, kind, answer)
    return answer


def _count(path: Path, kind: Literal["video", "audio"], answer: Answer) -> None:
    import av

    from emorec_rt.media.pyav import UNDECODABLE_TAGS

    with av.open(str(path), **UNDECODABLE_TAGS) as container:
        answer["format"] = container.format.name
        stream = container.streams.best(kind)
        for frame in () if stream is None else container.decode(stream):
            if isinstance(frame, av.AudioFrame):
                answer["sound_seconds"] += frame.samples / max(frame.sample_rate, 1)
            else:
                answer["frames"] += 1


def answers(run: Callable[[Path, bool], Answer], requests: TextIO) -> Iterator[Answer]:
    """Run what is asked for; an exception that nothing foresaw is an answer too."""
    for line in requests:
        request = json.loads(line)
        try:
            answer = run(Path(request["path"]), request["annotate"])
        except Exception:  # noqa: BLE001 - finding these is the purpose
            answer = {"outcome": "traceback", "complaint": traceback.format_exc()}
        yield {**answer, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """Largest resident memory of this program so far. Not ``ru_maxrss``, which begins with the caller's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> None:
    """Answer until the requests end."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no reply
    run = reference if sys.argv[1] == "reference" else recogniser(Path(sys.argv[2]))
    for answer in answers(run, sys.stdin):
        replies.write(json.dumps(answer) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
