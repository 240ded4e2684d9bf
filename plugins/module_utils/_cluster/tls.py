# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys, requests and certificates of the cluster's own CA, by the host's openssl.

Private to the collection: may change at any time.

Private keys never leave the host that made them and stand in no argument and no result.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import re
import secrets
import ssl
import tempfile
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import partial_path

KEY_MODE = 0o600
SHARED_KEY_MODE = 0o640
CERTIFICATE_MODE = 0o644
DIRECTORY_MODE = 0o755
DAY = 24 * 60 * 60

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_COMMON_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._ -]{0,62}[A-Za-z0-9._-])?")
_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_NOT_AFTER = re.compile(r"^notAfter=(.+)$", re.MULTILINE)
_ALTERNATIVE_NAME = re.compile(r"\b(DNS|IP Address):([^,\s]+)")

_CA_EXTENSIONS = """\
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
_LEAF_EXTENSIONS = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Certificate:
    """What we look at in a certificate."""

    names: t.Tuple[str, ...]
    public_key: str
    not_after: int

    def days_left(self, now: t.Optional[float] = None) -> float:
        """How long it is good for."""
        return (self.not_after - (time.time() if now is None else now)) / DAY

    def serves(self, names: t.Tuple[str, ...], public_key: str, least_days: float) -> bool:
        """Whether it is for these names and this key, for that long."""
        return self.names == names and self.public_key == public_key and self.days_left() > least_days


def alternative_names(names: t.Iterable[str]) -> t.Tuple[str, ...]:
    """Host names and addresses in the one form we compare and write: sorted, each once, ``DNS:…`` or ``IP:…``."""
    result = set()
    for name in names:
        try:
            result.add(f"IP:{ipaddress.ip_address(name)}")
        except ValueError:
            if len(name) > 253 or _HOST.fullmatch(name) is None:
                raise MirrorError(f"{name!r} is neither a host's name nor an address") from None
            result.add(f"DNS:{name.lower()}")
    if not result:
        raise MirrorError("a certificate needs at least one name")
    return tuple(sorted(result))


def check_common_name(name: str) -> str:
    """The name, when it can stand in a certificate and in a file's name."""
    if _COMMON_NAME.fullmatch(name) is None:
        raise MirrorError(
            f"{name!r} cannot be a certificate's common name",
            why="it takes up to 64 letters, digits, '.', '_', '-' and blanks, a letter, digit or '_' first",
        )
    return name


class OpenSsl:
    """The program of the host."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def make_key(self, path: str) -> None:
        """A new P-256 key, readable for its owner alone from its first byte on."""
        with _in_place_of(path, KEY_MODE) as partial:
            self._must(
                f"private key {path} cannot be made",
                ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", partial],
            )

    def put_key(self, path: str, text: str) -> None:
        """A key that was made elsewhere; raises when it is none."""
        with _in_place_of(path, KEY_MODE) as partial:
            with open(partial, "w", encoding="ascii", errors="strict") as stream:
                stream.write(text)
            self.public_key(partial)

    def put_ca(self, key: str, path: str, texts: t.Tuple[str, str]) -> None:
        """Key and certificate of a CA that was made elsewhere; raises when they do not belong together."""
        with _in_place_of(key, KEY_MODE) as new_key, _in_place_of(path, CERTIFICATE_MODE) as new:
            for partial, text in zip((new_key, new), texts):
                with open(partial, "w", encoding="ascii", errors="strict") as stream:
                    stream.write(text)
            found = self.certificate(new)
            if found is None:
                raise MirrorError("the certificate of the CA that was given cannot be read", fix="Give it as PEM.")
            if found.public_key != self.public_key(new_key):
                raise MirrorError("the key of the CA that was given does not belong to its certificate")

    def given(self, text: str, ca: str) -> Certificate:
        """A certificate that was made elsewhere; raises unless this CA vouches for it."""
        with tempfile.TemporaryDirectory(prefix="sealer-tls-") as directory:
            path, ca_path = os.path.join(directory, "given.crt"), os.path.join(directory, "ca.crt")
            for name, content in ((path, text), (ca_path, ca)):
                with open(name, "w", encoding="ascii", errors="strict") as stream:
                    stream.write(content)
            found = self.certificate(path)
            if found is None:
                raise MirrorError("the certificate that was given cannot be read", fix="Give it as PEM.")
            done = self._call(["verify", "-no-CApath", "-CAfile", ca_path, "-untrusted", path, path])
        if done[0] != 0:
            raise MirrorError(
                "the CA certificate that was given does not vouch for the certificate",
                why=done[2].strip().splitlines()[-1] if done[2].strip() else "",
                fix="Give the certificate with the intermediate ones behind it, and the root that signed them.",
            )
        return found

    def public_key(self, key: str) -> str:
        """The public part of this key file."""
        told = self._must(
            f"{key} is not a private key", ["pkey", "-in", key, "-pubout"], fix="Remove it, and run again."
        )
        return _public_key(told)

    def request(self, key: str, common_name: str) -> str:
        """A request to sign this key."""
        with _config(f"[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = {common_name}\n") as config:
            command = ["req", "-new", "-sha256", "-key", key, "-config", config]
            return self._must(f"no request can be made for {key}", command)

    def requested_key(self, request: str, common_name: str) -> str:
        """The public key in a request, which has to be signed by its private part and be for this name."""
        command = ["req", "-noout", "-verify", "-pubkey", "-subject", "-nameopt", "RFC2253"]
        code, out, err = self._call(command, request)
        if code != 0 or "verify OK" not in err + out:
            raise MirrorError("the certificate request is not valid", why=err.strip()[-1000:])
        if f"subject=CN={common_name}" not in out.splitlines():
            raise MirrorError(f"the certificate request is not for {common_name}")
        return _public_key(out)

    def certificate(self, path: str) -> t.Optional[Certificate]:
        """The certificate in this file, None when there is none in it."""
        if not os.path.isfile(path):
            return None
        done = self._call(["x509", "-in", path, "-noout", "-pubkey", "-enddate", "-ext", "subjectAltName"])
        until = _NOT_AFTER.search(done[1])
        if done[0] != 0 or until is None:
            return None
        found = (value for _kind, value in _ALTERNATIVE_NAME.findall(done[1]))
        try:
            names = alternative_names(found)
        except MirrorError:
            names = ()
        return Certificate(names, _public_key(done[1]), int(ssl.cert_time_to_seconds(until.group(1))))

    def is_signed(self, path: str, ca_path: str) -> bool:
        """Whether this CA, and it alone, vouches for the certificate."""
        return self._call(["verify", "-no-CApath", "-CAfile", ca_path, path])[0] == 0

    def make_ca(self, key: str, path: str, common_name: str, days: int) -> None:
        """A certificate that signs others, with this key."""
        text = (
            "[req]\ndistinguished_name = name\nx509_extensions = ca\nprompt = no\n"
            f"[name]\nCN = {common_name}\n[ca]\n{_CA_EXTENSIONS}"
        )
        with _config(text) as config, _in_place_of(path, CERTIFICATE_MODE) as partial:
            command = ["req", "-new", "-x509", "-sha256", "-key", key, "-config", config, "-days", str(days)]
            self._must(f"CA {path} cannot be made", [*command, "-set_serial", _serial(), "-out", partial])

    def sign(self, request: str, ca: t.Tuple[str, str], path: str, names: t.Tuple[str, ...], days: int) -> None:
        """A certificate for the request's key and these names; what else the request wants does not count."""
        key, certificate = ca
        extensions = f"{_LEAF_EXTENSIONS}subjectAltName = {', '.join(names)}\n"
        with _config(extensions) as extension_file, _in_place_of(path, CERTIFICATE_MODE) as partial:
            command = ["x509", "-req", "-sha256", "-CA", certificate, "-CAkey", key, "-set_serial", _serial()]
            command += ["-days", str(days), "-extfile", extension_file, "-out", partial]
            self._must(f"certificate {path} cannot be signed", command, request)

    def _must(self, what: str, arguments: t.List[str], data: t.Optional[str] = None, fix: str = "") -> str:
        code, out, err = self._call(arguments, data)
        if code != 0:
            raise MirrorError(what, why=err.strip()[-1000:], fix=fix)
        return out

    def _call(self, arguments: t.List[str], data: t.Optional[str] = None) -> t.Tuple[int, str, str]:
        done = self._run(["openssl", *arguments], data=data)
        if done.rc == NOT_FOUND:
            raise MirrorError(
                "there is no openssl", why="keys and certificates are made with it", fix="Install openssl."
            )
        return done.rc, done.stdout, done.stderr


@contextlib.contextmanager
def exclusive(directory: str) -> t.Iterator[None]:
    """Keep others who make certificates here out."""
    handle = os.open(os.path.join(directory, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, KEY_MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def make_directory(path: str) -> None:
    """The directory and those above it, readable for all whatever the umask."""
    if not os.path.isdir(path):
        make_directory(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, DIRECTORY_MODE)
            os.chmod(path, DIRECTORY_MODE)


def _public_key(text: str) -> str:
    found = _PUBLIC_KEY.search(text)
    if found is None:
        raise MirrorError("openssl told no public key")
    return found.group()


def _serial() -> str:
    return f"0x{secrets.randbits(126) | 1 << 126:x}"


@contextlib.contextmanager
def _config(text: str) -> t.Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sealer-tls-") as directory:
        path = os.path.join(directory, "openssl.cnf")
        with open(path, "w", encoding="ascii") as stream:
            stream.write(text)
        yield path


@contextlib.contextmanager
def _in_place_of(path: str, mode: int) -> t.Iterator[str]:
    """An empty private file beside the path; it takes the path's place when all went well.

    It is always the same file, so that what a killed run left is written over.
    """
    make_directory(os.path.dirname(path))
    partial = partial_path(path)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.close(handle)
        yield partial
        os.chmod(partial, mode)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
