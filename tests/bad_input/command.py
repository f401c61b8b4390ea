"""Run the real `edgekit` command and say what a clean refusal is."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["EDGEKIT", "Place", "Said", "is_refusal", "without_root_rights"]

_INSTALLED = Path(sys.executable).parent / "edgekit"
EDGEKIT: tuple[str, ...] = (
    (str(_INSTALLED),)
    if _INSTALLED.exists()
    else (sys.executable, "-c", "from toolkit.cli import main; main()")
)
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
_PR_CAPBSET_DROP = 24
_PROGRESS = re.compile(r"[a-z][a-z ]*(to ONNX)?: \d+ in \d+\.\d s")


@dataclass(frozen=True)
class Said:
    """What a command wrote and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A folder to run commands in, and another one for what they write to $TMPDIR."""

    folder: Path
    temporary: Path

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the environment of a command run here."""
        # Threads that spin while they wait would disturb the timing of the other worker.
        return {**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1", **changes}

    def run(self, *arguments: str | Path, **options: Any) -> Said:
        """Run `edgekit ARGUMENTS...` here to its end."""
        environment: Mapping[str, str] = options.pop("environment", {})
        done = subprocess.run(
            [*EDGEKIT, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        return Said(done.returncode, _text(done.stdout), _text(done.stderr))

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Return what lies here, hidden files too: path to inode, size and time of change."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            status = path.lstat()
            if not path.is_dir() or path.is_symlink():
                found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
        return found

    def refuses(
        self,
        *arguments: str | Path,
        says: str = "",
        code: int = 1,
        preexec: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command that must fail cleanly and leave every file as it was.

        `says` is part of the one sentence; returns the next command.
        """
        before = self.files()
        said = self.run(*arguments, preexec_fn=preexec, environment=environment or {})
        sentence, next_command = is_refusal(said, code=code, as_json="--json" in arguments)
        assert says in sentence, sentence
        assert self.files() == before, "files were left, changed or removed"
        left = [path.name for path in self.temporary.iterdir()]
        assert not left, f"the temporary folder holds {left}"
        return next_command


def is_refusal(said: Said, *, code: int = 1, as_json: bool = False) -> tuple[str, str]:
    """Assert that one sentence and the next command were printed, and return the two."""
    assert said.code == code, said
    assert "Traceback" not in said.err + said.out, said
    if as_json:
        assert said.err == "", said
        assert said.out.count("\n") == 1, said
        values = json.loads(said.out)
        assert values.keys() == {"error", "next", "code"}, values
        assert values["code"] == code, values
        sentence, next_command = values["error"], values["next"]
    else:
        assert said.out == "", said
        # Steps that were finished before may have said how long they took.
        lines = [line for line in said.err.splitlines() if not _PROGRESS.match(line)]
        assert len(lines) == 2, said.err
        assert lines[1].startswith("Next: "), said.err
        sentence, next_command = lines[0], lines[1].removeprefix("Next: ")
    assert sentence.rstrip().endswith((".", "?")), sentence
    assert len(sentence) < 450, sentence
    assert next_command.strip(), said
    return sentence, next_command


def without_root_rights() -> None:
    """Make root obey permissions in the command that is about to be executed."""
    if os.geteuid() == 0:
        for capability in _OVERRIDES:
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "surrogateescape")
