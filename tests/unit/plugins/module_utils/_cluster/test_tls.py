# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys, requests and certificates, with the machine's openssl."""

from __future__ import annotations

import concurrent.futures
import contextlib
import grp
import os
import pathlib
import ssl
import subprocess
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Completed, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tls import (
    OpenSsl,
    alternative_names,
    check_common_name,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.modules import tls_request, tls_sign
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates

Result = dict[str, t.Any]
NAMES = ("node-1.example.com", "10.0.0.1", "::1")


def run(
    command: t.Sequence[str],
    *,
    data: t.Optional[str] = None,
    environ: t.Optional[t.Mapping[str, str]] = None,
    cwd: t.Optional[str] = None,
    descriptors: t.Sequence[int] = (),
) -> Completed:
    assert not descriptors
    done = subprocess.run(command, input=data, env=environ, cwd=cwd, capture_output=True, text=True, check=False)
    assert not any("PRIVATE KEY" in text for text in (*command, done.stdout, done.stderr))
    return Completed(done.returncode, done.stdout, done.stderr)


class Host:
    """A directory in the place of a host, or of several that share it as their CA's."""

    def __init__(self, directory: pathlib.Path, name: str = "node-1") -> None:
        self.pki = directory
        self.name = name
        self.key = directory / f"{name}.key"
        self.certificate = directory / f"{name}.crt"
        self.ca = directory / "ca.crt"

    def request(self, names: t.Sequence[str] = NAMES, *, check: bool = False, **more: t.Any) -> Result:
        params = {
            "key_path": str(self.key),
            "certificate_path": str(self.certificate),
            "ca_path": str(self.ca),
            "common_name": self.name,
            "names": names,
            "renew_days": 30,
            "private_key": None,
            "group": None,
        }
        return tls_request.run(OpenSsl(run), {**params, **more}, check)

    def sign(
        self, csr: str, names: t.Sequence[str] = NAMES, *, check: bool = False, runner: Runner = run, **more: t.Any
    ) -> Result:
        params = {
            "csr": csr,
            "common_name": self.name,
            "names": names,
            "directory": str(self.pki),
            "ca_name": "sealer CA test",
            "ca_days": 3650,
            "days": 365,
            "renew_days": 30,
            "replace_lost_ca": False,
            "ca_certificate": None,
            "ca_private_key": None,
            "certificate": None,
        }
        result = tls_sign.run(OpenSsl(runner), {**params, **more}, check)
        if not check:
            self.certificate.write_text(result["certificate"])
        return result


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path / "etc" / "pki")


def told_by_openssl(path: pathlib.Path) -> str:
    return run(["openssl", "x509", "-in", str(path), "-noout", "-text"]).stdout


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["B.example", "a.example", "b.example"], ("DNS:a.example", "DNS:b.example")),
        (["10.0.0.1", "0:0:0:0:0:0:0:1", "::1"], ("IP:10.0.0.1", "IP:::1")),
        (["*.example.com", "node_1"], ("DNS:*.example.com", "DNS:node_1")),
    ],
)
def test_names(names: t.Sequence[str], wanted: t.Tuple[str, ...]) -> None:
    assert alternative_names(names) == wanted


@pytest.mark.parametrize("name", ["", "a,DNS:b", "a b", "a\nb", "-a", "a..b", "10.0.0.1/8", "a" * 254, "$x", "é"])
def test_wrong_names(name: str) -> None:
    with pytest.raises(MirrorError, match="neither a host's name nor an address"):
        alternative_names([name])


def test_no_names() -> None:
    with pytest.raises(MirrorError, match="at least one name"):
        alternative_names([])


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", " a", "a\nb", "a" * 65, "a=b", "$a"])
def test_wrong_common_names(name: str) -> None:
    with pytest.raises(MirrorError, match="common name"):
        check_common_name(name)


def test_bare_host_in_check_mode(host: Host) -> None:
    asked = host.request(check=True)
    assert (asked["changed"], asked["csr"], asked["valid"]) == (True, "", False)
    signed = host.sign(asked["csr"], check=True)
    assert (signed["changed"], signed["certificate"], signed["ca_certificate"]) == (True, "", "")
    assert not host.pki.exists()
    really = host.request()
    assert really["diff"] == asked["diff"]
    assert host.sign(really["csr"])["diff"] == signed["diff"]


def test_from_nothing_to_a_certificate_that_stays(host: Host) -> None:
    csr = host.request()["csr"]
    first = host.sign(csr)
    assert first["ca_certificate"] == host.ca.read_text()
    for _again in range(2):
        asked = host.request()
        assert (asked["changed"], asked["valid"], asked["not_after"]) == (False, True, first["not_after"])
        for check in (True, False):
            signed = host.sign(asked["csr"], check=check)
            assert not signed["changed"]
            assert signed["diff"]["before"] == signed["diff"]["after"]
            assert signed["certificate"] == first["certificate"]


def test_modes(host: Host) -> None:
    before = os.umask(0)
    try:
        host.sign(host.request()["csr"])
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in host.pki.iterdir()}
    assert (modes["node-1.key"], modes["ca.key"], modes["ca.crt"], modes["issued"]) == (0o600, 0o600, 0o644, 0o755)
    assert host.pki.stat().st_mode & 0o777 == 0o755
    host.key.chmod(0o644)
    assert host.request(check=True)["changed"]
    assert host.request()["changed"]
    assert host.key.stat().st_mode & 0o777 == 0o600


def test_what_stands_in_certificates(host: Host) -> None:
    host.sign(host.request()["csr"])
    leaf, authority = told_by_openssl(host.certificate), told_by_openssl(host.ca)
    for wanted in (
        "Issuer: CN = sealer CA test",
        "Subject: CN = node-1\n",
        "ASN1 OID: prime256v1",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "DNS:node-1.example.com, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1",
        "CA:FALSE",
    ):
        assert wanted in leaf
    for wanted in ("CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "Basic Constraints: critical"):
        assert wanted in authority
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(host.certificate, host.key)


@pytest.mark.parametrize("change", ["names", "near its end", "key", "authority", "garbage"])
def test_renewal(host: Host, change: str) -> None:
    days = 29 if change == "near its end" else 365
    first = host.sign(host.request()["csr"], days=days)
    names = list(NAMES)
    if change == "names":
        names = [*NAMES, "more.example.com"]
    elif change == "key":
        host.key.unlink()
    elif change == "authority":
        (host.pki / "ca.key").unlink()
        host.ca.unlink()
    elif change == "garbage":
        (host.pki / "issued" / "node-1.crt").write_text("garbage")
        host.certificate.write_text("garbage")
    asked = host.request(names)
    assert not asked["valid"]
    expected = host.sign(asked["csr"], names, check=True)
    signed = host.sign(asked["csr"], names)
    assert expected["changed"] is signed["changed"] is True
    assert expected["diff"] == signed["diff"]
    assert signed["certificate"] != first["certificate"]
    assert host.request(names)["valid"]
    assert not host.sign(asked["csr"], names)["changed"]


def test_certificate_of_another_authority_is_not_valid(host: Host, tmp_path: pathlib.Path) -> None:
    other = Host(tmp_path / "other")
    other.key = host.key
    csr = host.request()["csr"]
    host.sign(csr)
    host.certificate.write_text(other.sign(csr)["certificate"])
    assert not host.request()["valid"]


def test_request_for_another_name_is_refused(host: Host) -> None:
    csr = host.request()["csr"]
    thief = Host(host.pki, "node-2")
    with pytest.raises(MirrorError, match="is not for node-2"):
        thief.sign(csr)


def test_broken_requests_are_refused(host: Host) -> None:
    csr = host.request()["csr"]
    lines = csr.splitlines()
    lines[2] = lines[2][::-1]
    for wrong in ("garbage", "\n".join(lines)):
        with pytest.raises(MirrorError, match="request is not valid"):
            host.sign(wrong)
    with pytest.raises(MirrorError, match="request is empty"):
        host.sign("")


def test_key_that_is_none(host: Host) -> None:
    host.sign(host.request()["csr"])
    host.key.write_text("garbage")
    with pytest.raises(MirrorError, match="is not a private key|no request can be made"):
        host.request()


def test_authority_without_its_key(host: Host) -> None:
    csr = host.request()["csr"]
    host.sign(csr)
    (host.pki / "ca.key").unlink()
    with pytest.raises(MirrorError, match="the CA's key is missing"):
        host.sign(csr)


def test_a_lost_authority_is_replaced_where_that_is_wanted(host: Host) -> None:
    csr = host.request()["csr"]
    old = host.sign(csr)["ca_certificate"]
    assert host.sign(csr, replace_lost_ca=True)["changed"] is False
    (host.pki / "ca.key").unlink()
    assert host.sign(csr, check=True, replace_lost_ca=True)["changed"] is True
    assert host.ca.read_text() == old
    new = host.sign(csr, replace_lost_ca=True)
    assert new["changed"] is True and new["ca_certificate"] not in ("", old)
    assert run(["openssl", "verify", "-CAfile", str(host.ca), str(host.certificate)]).rc == 0
    assert host.sign(csr, replace_lost_ca=True)["changed"] is False
    # Another host signed meanwhile, and this one signs again.
    host.ca.write_text(old)
    with pytest.raises(MirrorError, match="the CA's key is that of another CA"):
        host.sign(csr)
    assert host.sign(csr, replace_lost_ca=True)["changed"] is True
    assert run(["openssl", "verify", "-CAfile", str(host.ca), str(host.certificate)]).rc == 0


def test_hosts_that_come_at_once_get_one_authority(tmp_path: pathlib.Path) -> None:
    together = threading.Barrier(2)
    authorities: list[t.Sequence[str]] = []

    def slow(command: t.Sequence[str], **options: t.Any) -> Completed:
        if "-x509" in command:
            authorities.append(command)
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(1)
        return run(command, **options)

    hosts = [Host(tmp_path / "pki", f"node-{number}") for number in range(2)]
    requests = [host.request()["csr"] for host in hosts]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        signed = list(pool.map(lambda host, csr: host.sign(csr, runner=slow), hosts, requests))
    assert len(authorities) == len({one["ca_certificate"] for one in signed}) == 1
    assert all(one.request()["valid"] for one in hosts)


def test_openssl_that_only_tells_a_bad_signature(host: Host) -> None:
    def old(command: t.Sequence[str], **options: t.Any) -> Completed:
        done = run(command, **options)
        return Completed(0, done.stdout, "verify failure") if "-verify" in command else done

    with pytest.raises(MirrorError, match="request is not valid"):
        host.sign(host.request()["csr"], runner=old)


def test_failure_leaves_nothing_half_done(host: Host) -> None:
    host.sign(host.request()["csr"])
    before = sorted(path.name for path in host.pki.rglob("*"))

    def failing(command: t.Sequence[str], **options: t.Any) -> Completed:
        return Completed(1, "", "no luck") if "-CAkey" in command else run(command, **options)

    params = {"csr": host.request()["csr"], "common_name": "node-1", "names": ["other"], "directory": str(host.pki)}
    params.update(ca_name="x", ca_days=1, days=1, renew_days=0, certificate="", ca_certificate="", ca_private_key="")
    params.update(replace_lost_ca=False)
    with pytest.raises(MirrorError, match="cannot be signed: no luck"):
        tls_sign.run(OpenSsl(failing), params, False)
    assert sorted(path.name for path in host.pki.rglob("*")) == before


def test_no_openssl(host: Host) -> None:
    def missing(command: t.Sequence[str], **_options: t.Any) -> Completed:
        return Completed(NOT_FOUND, "", f"{command[0]}: not found")

    with pytest.raises(MirrorError, match="there is no openssl.*Install openssl"):
        OpenSsl(missing).make_key(str(host.key))
    assert list(host.pki.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to a group")
def test_a_group_may_read_the_key(host: Host) -> None:
    host.request()
    shared = host.request(group="daemon")
    assert shared["changed"]
    found = host.key.stat()
    assert (found.st_mode & 0o7777, found.st_gid) == (0o640, grp.getgrnam("daemon").gr_gid)
    assert not host.request(group="daemon")["changed"]
    assert host.request(group="no-such-group", check=True)["changed"]
    with pytest.raises(MirrorError, match="there is no group no-such-group"):
        host.request(group="no-such-group")
    assert host.request()["changed"]
    assert host.key.stat().st_mode & 0o7777 == 0o600


def test_given_key_and_certificate(host: Host, certificates: Certificates) -> None:
    key, names = certificates.server_key.read_text(), ["127.0.0.1", "localhost"]
    asked = host.request(names, private_key=key)
    assert host.key.read_text().strip() == key.strip()
    assert not host.request(names, private_key=key)["changed"]
    assert host.request(names, private_key=certificates.other_key.read_text(), check=True)["changed"]
    given: Result = {"certificate": certificates.server.read_text(), "ca_certificate": certificates.ca.read_text()}
    for check in (True, False):
        signed = host.sign(asked["csr"], names, check=check, **given)
        assert (signed["changed"], signed["certificate"], signed["warnings"]) == (False, given["certificate"], [])
    assert host.sign(asked["csr"], ["elsewhere.example"], **given)["warnings"] == [
        "The certificate that was given is not for DNS:elsewhere.example"
    ]
    assert not (host.pki / "ca.key").exists()
    assert host.sign("", names, check=True, **given)["certificate"] == given["certificate"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"certificate": "other"}, "is for another key"),
        ({"certificate": "nonsense"}, "cannot be read"),
        ({"ca_certificate": "own"}, "does not vouch for the certificate"),
    ],
)
def test_given_certificates_that_do_not_fit(
    host: Host, certificates: Certificates, given: dict[str, str], told: str
) -> None:
    csr = host.request(private_key=certificates.server_key.read_text())["csr"]
    host.sign(csr)
    texts = {
        "other": certificates.other.read_text(),
        "server": certificates.server.read_text(),
        "ca": certificates.ca.read_text(),
        "own": host.ca.read_text(),
        "nonsense": "nonsense",
    }
    params = {"certificate": "server", "ca_certificate": "ca", **given}
    with pytest.raises(MirrorError, match=told):
        host.sign(csr, **t.cast(Result, {option: texts[name] for option, name in params.items()}))


def test_given_authority(host: Host, tmp_path: pathlib.Path) -> None:
    elsewhere = Host(tmp_path / "elsewhere")
    elsewhere.sign(elsewhere.request()["csr"])
    given: Result = {
        "ca_certificate": elsewhere.ca.read_text(),
        "ca_private_key": (elsewhere.pki / "ca.key").read_text().rstrip(),
    }
    csr = host.request()["csr"]
    first = host.sign(csr, **given)
    assert first["changed"] and first["ca_certificate"] == elsewhere.ca.read_text()
    assert (host.pki / "ca.key").stat().st_mode & 0o7777 == 0o600
    assert not host.sign(csr, **given)["changed"]
    other = Host(tmp_path / "other")
    other.sign(other.request()["csr"])
    changed: Result = {"ca_certificate": other.ca.read_text(), "ca_private_key": (other.pki / "ca.key").read_text()}
    predicted, done = host.sign(csr, check=True, **changed), host.sign(csr, **changed)
    assert predicted["diff"] == done["diff"] and done["diff"]["before"]["ca"]["state"] == "another"
    assert host.request()["valid"]
    with pytest.raises(MirrorError, match="does not belong to its certificate"):
        host.sign(csr, **{**given, "ca_private_key": changed["ca_private_key"]})
    assert (host.pki / "ca.key").read_text() == changed["ca_private_key"]
