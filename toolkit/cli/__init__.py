"""The `edgekit` command."""

from __future__ import annotations

import sys

from toolkit.cli import signals

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: see toolkit/cli/outcome.py for what the codes mean."""
    signals.catch()  # before the imports below, which take a tenth of a second
    from toolkit.cli.command_line import run

    code = run(sys.argv[1:])
    signals.ignore()
    sys.exit(code)
