"""A real IMAP server in a temporary folder: Debian's dovecot-imapd on 127.0.0.1, with as few rights as possible.

    with dovecot() as server:
        server.deliver(b"To: ...")
        inbox = server.inbox()

Started as root, it runs as `nobody`, because Dovecot serves no mail that belongs to root.
"""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from digest.inbound import InboxSettings
from digest.settings import Secret
from tests.certificates import self_signed

PROGRAM = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_dovecot = pytest.mark.skipif(PROGRAM is None, reason="dovecot is not installed; on Debian: dovecot-imapd")
PASSWORD = "hunter2-correct-horse"

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
listen = 127.0.0.1
protocols = imap
mail_location = maildir:{folder}/mail
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
auth_failure_delay = 0
disable_plaintext_auth = no
{tls}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
"""


@dataclass
class Dovecot:
    """A running server. Every user name has the password `PASSWORD` and the Maildir `mail`."""

    folder: Path
    port: int
    tls_port: int
    _delivered: int = field(default=0, init=False)

    @property
    def mail(self) -> Path:
        return self.folder / "mail"

    @property
    def certificate(self) -> Path:
        """The certificate that a client has to trust, if the server was started with `tls`."""
        return self.folder / "cert.pem"

    def inbox(self, **more: Any) -> InboxSettings:
        """Return settings for this server, unencrypted unless `security` is given."""
        port = self.tls_port if more.get("security") == "tls" else self.port
        inbox = InboxSettings(host="127.0.0.1", port=port, security="none", username="me@example.org", timeout=10.0)
        return replace(inbox, **{"password": Secret(PASSWORD), **more})

    def deliver(self, raw: bytes, flags: str | None = None) -> Path:
        """Put a letter into new/, or into cur/ with these flags."""
        self._delivered += 1
        name = f"{1776664800 + self._delivered}.letter.host"
        path = self.mail / "new" / name if flags is None else self.mail / "cur" / f"{name}:2,{flags}"
        draft = self.mail / "tmp" / name
        draft.write_bytes(raw)
        draft.rename(path)
        return path

    def letters(self) -> dict[str, bytes]:
        """Return the contents of all letters by file name, which includes the flags."""
        paths = (path for part in ("new", "cur", "tmp") for path in (self.mail / part).iterdir())
        return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in paths}

    def renumber(self) -> None:
        """Give the letters new UIDs and the mailbox a new UIDVALIDITY, as after a restored backup."""
        for path in self.mail.glob("dovecot*"):
            path.unlink()
        (self.mail / "dovecot-uidlist").write_text(f"3 V{1776000000 + self._delivered} N100\n")
        os.chown(self.mail / "dovecot-uidlist", *_owner())

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")


@contextmanager
def dovecot(tls: bool = False) -> Iterator[Dovecot]:
    """Start a server; with `tls` it has a self-signed certificate for 127.0.0.1."""
    with ExitStack() as stack:
        # Not in pytest's tmp_path, which only its owner can read.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dovecot-")))
        server = Dovecot(folder, *_free_ports(2))
        uid, gid = _owner()
        for path in (folder, server.mail, *(server.mail / part for part in ("new", "cur", "tmp"))):
            path.mkdir(exist_ok=True)
            os.chown(path, uid, gid)
        _configure(server, tls)
        process = subprocess.Popen(
            [PROGRAM or "dovecot", "-F", "-c", str(folder / "dovecot.conf")],
            stderr=subprocess.DEVNULL,
            user=uid if os.getuid() == 0 else None,
            group=gid if os.getuid() == 0 else None,
            extra_groups=[] if os.getuid() == 0 else None,
        )
        stack.callback(process.wait, timeout=10)
        stack.callback(process.terminate)
        _wait_until_ready(process, server)
        yield server


def _owner() -> tuple[int, int]:
    """Return the user and group that the server runs as."""
    if os.getuid():
        return os.getuid(), os.getgid()
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def _configure(server: Dovecot, tls: bool) -> None:
    uid, gid = _owner()
    key = server.folder / "key.pem"
    if tls:
        self_signed(server.certificate, key)
        os.chown(key, uid, gid)
    (server.folder / "dovecot.conf").write_text(
        _CONFIGURATION.format(
            folder=server.folder,
            user=pwd.getpwuid(uid).pw_name,
            group=grp.getgrgid(gid).gr_name,
            uid=uid,
            gid=gid,
            password=PASSWORD,
            port=server.port,
            tls_port=server.tls_port if tls else 0,
            tls=f"ssl = yes\nssl_cert = <{server.certificate}\nssl_key = <{key}" if tls else "ssl = no",
        )
    )


def _wait_until_ready(process: "subprocess.Popen[bytes]", server: Dovecot) -> None:
    """Wait for the server's greeting."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
                if connection.recv(4) == b"* OK":
                    return
        except OSError:
            pass
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"dovecot does not answer: {server.log if (server.folder / 'log').exists() else 'it wrote no log'}")
