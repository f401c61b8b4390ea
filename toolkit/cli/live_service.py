"""`edgekit live --print-service`: the command line that was given, as a systemd unit."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from toolkit.camera.uri import camera_uri
from toolkit.cli.live_options import LiveOptions
from toolkit.cli.outcome import Outcome
from toolkit.errors import InputError
from toolkit.live.service import service_unit

__all__ = ["print_service"]

_NAME = "edgekit-live"
_SECRETS = {"camera": "EDGEKIT_CAMERA", "results": "EDGEKIT_RESULTS"}


def print_service(engines: Sequence[Path], options: LiveOptions) -> Outcome:
    """Return the unit as the outcome's line. Raises InputError for what cannot run unattended."""
    options.check(engines)
    for option, wanted in (("--record", options.record), ("--frames", options.frames)):
        if wanted:
            raise InputError(
                f"{option} belongs to a run with an end; a service starts again and again.",
                next_command="edgekit live ENGINE --camera URI --print-service",
            )
    if options.view == "terminal":
        raise InputError(
            "A service has no terminal.",
            next_command="edgekit live ENGINE --camera URI --view web --print-service",
        )
    command = [_program(), "live", *(str(engine.absolute()) for engine in engines)]
    secrets = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name == "as_json" or value == field.default:
            continue
        text = str(value)
        command += [f"--{field.name.replace('_', '-')}", text]
        if "://" in text and camera_uri(text).text != text:
            secrets[text] = _SECRETS[field.name]
    user = "" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    unit = service_unit(
        command,
        name=_NAME,
        description=f"edgekit live: {', '.join(engine.name for engine in engines)}",
        user=user,
        folder=str(Path.cwd()),
        secrets=secrets,
    )
    return Outcome(unit.rstrip("\n"), {"service": unit, "name": f"{_NAME}.service"})


def _program() -> str:
    beside = Path(sys.executable).with_name("edgekit")
    return str(beside) if beside.exists() else shutil.which("edgekit") or str(beside)
