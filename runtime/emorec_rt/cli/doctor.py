"""``emorec-rt doctor``: what this machine has, and what it lacks."""

from __future__ import annotations

import click

MARKS = {"ok": "ok", "missing": "MISSING", "optional": "-"}


@click.command()
def doctor() -> None:
    """Show versions, devices, backends and decoders, and the command that adds what is missing."""
    from emorec_rt.doctor import examine

    findings = examine()
    for finding in findings:
        click.echo(f"{MARKS[finding.state]:8}{finding.name:30}{finding.detail}")
        if finding.fix:
            click.echo(f"{'':38}add it with: {finding.fix}")
    if any(finding.state == "missing" for finding in findings):
        raise SystemExit(1)
