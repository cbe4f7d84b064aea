"""``emorec-rt doctor``: what this machine has, and what it lacks."""

from __future__ import annotations

import click

from emorec_rt.cli.console import tell

MARKS = {"ok": "ok", "missing": "MISSING", "optional": "-"}


@click.command()
def doctor() -> None:
    """Show versions, devices, backends and decoders, and the command that adds what is missing."""
    from emorec_rt.cli.doctor.checks import examine

    findings = examine()
    for finding in findings:
        tell(f"{MARKS[finding.state]:8}{finding.name:30}{finding.detail}")
        if finding.fix:
            tell(f"{'':38}add it with: {finding.fix}")
    if any(finding.state == "missing" for finding in findings):
        raise SystemExit(1)
