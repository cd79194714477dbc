"""Whom the embedded PostgreSQL runs as, and how it is started as that user.

PostgreSQL refuses user id 0. A gateway started by root therefore hands the server to `postgres`, or
to `nobody` where there is none, and gives that user the data directory alone: no other file changes
its owner or mode.
"""

import os
import pwd
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.config import StartRefused

# Bits of capabilities(7) that let a process pass through a directory closed to others.
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2


@dataclass(frozen=True)
class ServerUser:
    """The user the server runs as; `switch` tells whether that is another user than ours."""

    uid: int
    gid: int
    switch: bool

    def own(self, path: Path) -> None:
        """Gives `path` itself, not what is in it, to the server's user."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def own_tree(self, root: Path) -> None:
        """Gives `root` and all below it to the server's user; links are not followed."""
        if not self.switch:
            return
        self.own(root)
        for folder, folders, files in os.walk(root):
            for name in folders + files:
                os.chown(os.path.join(folder, name), self.uid, self.gid, follow_symlinks=False)


def server_user() -> ServerUser:
    """Ourselves, or for root the unprivileged user that PostgreSQL accepts."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid(), switch=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(entry.pw_uid, entry.pw_gid, switch=True)
    raise StartRefused(
        "Expected a user named postgres or nobody, as PostgreSQL does not run as root"
    )


def command_prefix(user: ServerUser, needed: Iterable[Path]) -> list[str]:
    """The `setpriv` words before a server command: it runs as `user` and dies with us.

    `--pdeathsig INT` asks the kernel for a clean ("fast") shutdown of PostgreSQL when the thread
    that started it is gone, also after kill -9; setpriv sets it after it has changed the user,
    which would have cleared it.
    A virtual environment or a data directory may stand below a directory closed to others, root's
    home for one. Opening that to everybody would be wrong, so only the server gets one capability
    more: to pass through directories. `no_setuid_fixup` keeps that capability in access(2) too, by
    which PostgreSQL looks at its own binaries.
    """
    if shutil.which("setpriv") is None:
        raise StartRefused("Expected setpriv of util-linux on the PATH, was not there")
    words = ["setpriv", "--pdeathsig", "INT"]
    if user.switch:
        words += ["--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups"]
        if not all(_passable(path, user) for path in needed):
            capability = _capability_to_pass()
            words += [
                f"--inh-caps=+{capability}",
                f"--ambient-caps=+{capability}",
                "--securebits=+no_setuid_fixup",
            ]
    return [*words, "--"]


def _passable(path: Path, user: ServerUser) -> bool:
    """Whether `user` can pass every directory above `path`, by the mode bits."""
    for folder in path.resolve().parents:
        entry = folder.stat()
        if not (entry.st_mode & 0o001 or (entry.st_uid == user.uid and entry.st_mode & 0o100)):
            return False
    return True


def _capability_to_pass() -> str:
    """The smaller of the two that we hold ourselves: a container often lacks the first."""
    held = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            held = int(line.split()[1], 16)
    if held >> _CAP_DAC_READ_SEARCH & 1:
        return "dac_read_search"
    if held >> _CAP_DAC_OVERRIDE & 1:
        return "dac_override"
    raise StartRefused(
        "Expected the data directory and the virtual environment below directories open to others: "
        "this root has no capability to let PostgreSQL's user through"
    )
