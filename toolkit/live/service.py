"""A systemd unit that runs a live camera unattended: restarted, watched over, not as root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["service_unit"]

_WATCHDOG_S = 30
"""Without an answered frame for so long, systemd starts the run again."""


def service_unit(
    command: Sequence[str],
    *,
    name: str,
    description: str,
    user: str,
    folder: str,
    secrets: Mapping[str, str],
) -> str:
    """Return the text of NAME.service.

    `user` runs it, in `folder`; "" is for root's own use: then systemd makes a user for it, and
    files go to /var/lib/NAME. `secrets` maps words of the command that nobody else may read, such
    as a camera's address with its password, to variables: they stand in a file that only root
    reads, because units are readable by everyone.
    """
    words = " ".join(
        f"${{{secrets[word]}}}" if word in secrets else _quoted(word) for word in command
    )
    environment = f"/etc/edgekit/{name}.env"
    owner = (
        [f"User={user}", f"WorkingDirectory={_escaped(folder)}"]
        if user
        else ["DynamicUser=yes", f"StateDirectory={name}", f"WorkingDirectory=%S/{name}"]
    )
    lines = [
        f"# /etc/systemd/system/{name}.service, written by `edgekit live --print-service`",
        f"# sudo systemctl daemon-reload && sudo systemctl enable --now {name}",
        f"# journalctl -u {name} -f",
        *(
            f"# {variable}=... stands in {environment} (chmod 600), with the password"
            for variable in secrets.values()
        ),
        "",
        "[Unit]",
        f"Description={_escaped(description)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "# a camera may be away for hours: never give up",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "# ready at the first answered frame, alive at each one",
        "Type=notify",
        "NotifyAccess=main",
        f"WatchdogSec={_WATCHDOG_S}",
        "TimeoutStartSec=300",
        *([f"EnvironmentFile={environment}"] if secrets else []),
        f"ExecStart={words}",
        "Restart=always",
        "RestartSec=2",
        "StandardOutput=journal",
        "StandardError=journal",
        *owner,
        "SupplementaryGroups=video",
        "NoNewPrivileges=yes",
        "ProtectSystem=full",
        "PrivateTmp=yes",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    """Return one word of an ExecStart line (man systemd.service, "Command lines")."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{_escaped(escaped).replace("$", "$$")}"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")  # % begins a specifier
