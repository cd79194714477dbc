"""`kopeck doctor`: is everything as it should be, and what to do where it is not?"""

from pathlib import Path

import click
import msgspec

from gateway.cli import options


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option(
    "--bundle",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write findings, settings, versions, metrics and logs to a new FILE.tar.gz; no secrets.",
)
@click.option("--port", metavar="PORT", help="Where the gateway listens. [default: 8080]")
@options.database
def doctor(as_json: bool, bundle: Path | None, **given: str | None) -> int:
    """Look at settings, clock, disk, database, keys, certificates; exit 1 where one is ill."""
    from gateway import doctor as doctors

    settings, findings = doctors.examine(given)
    if bundle is not None:
        doctors.write_bundle(bundle, settings, findings)
    if as_json:
        told = {
            "state": doctors.worst(findings),
            "findings": [msgspec.to_builtins(one) for one in findings],
        }
        click.echo(msgspec.json.encode(told))
    else:
        for one in findings:
            click.echo(f"{one.state:<5} {one.what:<14} {one.found}")
            if one.advice:
                click.echo(f"{'':<20} → {one.advice}")
    return 1 if doctors.worst(findings) == "ill" else 0
