"""Bundles and certificates that programs in Go can use, in each place where ours connect by TLS."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from uploadpp.kube.access import Access, ConfigError
from uploadpp.kube.credentials import tls_context as of_kube
from uploadpp.process.configuration import ConfigurationError, nats_options, read_settings
from uploadpp.storage.gateway import tls_context as of_storage
from uploadpp.wire.connection import NatsOptions
from uploadpp.wire.connection import tls_context as of_nats

BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
CRL = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"


class Identity(NamedTuple):
    """A certificate and its key."""

    subject: x509.Name
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes = b"") -> bytes:
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def identity(name: str, issuer: Identity | None = None, *, is_ca: bool, days: float = 1) -> Identity:
    """Without key identifiers, which Python's strict checks ask for and Go's do not."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer.subject if issuer else subject)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if not is_ca:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return Identity(subject, key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


ROOT = identity("root", is_ca=True)
MIDDLE = identity("intermediate", ROOT, is_ca=True)
SERVER = identity("server", MIDDLE, is_ca=False)
ALONE = identity("alone", is_ca=False)
EXPIRED = identity("root", is_ca=True, days=-1)
STRANGER = identity("stranger", is_ca=True)

CHAIN = SERVER.pem + MIDDLE.pem
TRUSTED: dict[str, tuple[Identity, bytes, bytes]] = {
    # the server, what it shows, and what is trusted; kubectl 1.37 connects with each of them
    "its root": (SERVER, CHAIN, ROOT.pem),
    "an intermediate authority": (SERVER, CHAIN, MIDDLE.pem),
    "an intermediate authority that is not shown": (SERVER, SERVER.pem, MIDDLE.pem),
    "the server's own certificate": (SERVER, SERVER.pem, SERVER.pem),
    "one that has signed itself": (ALONE, ALONE.pem, ALONE.pem),
    "an intermediate one beside an expired one": (SERVER, CHAIN, EXPIRED.pem + MIDDLE.pem),
    "one behind a part that cannot be read": (SERVER, CHAIN, BROKEN + CRL + ROOT.pem),
    "one behind a comment": (SERVER, CHAIN, "# Certifica\u00e7\u00e3o\n".encode("latin-1") + ROOT.pem),
    "Windows line ends": (SERVER, CHAIN, ROOT.pem.replace(b"\n", b"\r\n")),
}


def _nats(bundle: Path) -> ssl.SSLContext:
    found = of_nats(NatsOptions(servers=("127.0.0.1:1",), tls_ca_file=str(bundle)))
    assert found is not None
    return found


CONTEXTS: dict[str, Callable[[Path], ssl.SSLContext]] = {
    "the API server": lambda bundle: of_kube(Access(server="https://x"), bundle.read_bytes(), b"", b""),
    "NATS": _nats,
    "the storage": lambda bundle: of_storage(insecure=False, ca_file=bundle),
}


def shake_hands(client: ssl.SSLContext, server: Identity, shown: bytes, folder: Path) -> None:
    """Connect in memory.

    Raises:
        ssl.SSLCertVerificationError: the client does not trust the server.
    """
    (folder / "shown.pem").write_bytes(shown + server.key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "shown.pem")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname="127.0.0.1"),
        context.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", TRUSTED)
@pytest.mark.parametrize("whom", CONTEXTS)
def test_a_server_that_go_trusts_is_trusted(tmp_path: Path, whom: str, name: str) -> None:
    server, shown, bundle = TRUSTED[name]
    (tmp_path / "ca.crt").write_bytes(bundle)
    shake_hands(CONTEXTS[whom](tmp_path / "ca.crt"), server, shown, tmp_path)


@pytest.mark.parametrize("variable", ["OC_EVENTS_TLS_ROOT_CA_CERTIFICATE", "UPLOADPP_NATS_TLS_CERT_FILE"])
def test_comments_of_a_bundle_are_in_any_encoding(tmp_path: Path, variable: str) -> None:
    """Settings took only UTF-8, while programs in Go take any."""
    bundle, key = tmp_path / "ca.crt", tmp_path / "key"
    bundle.write_bytes("# Z\u00fcrich\n".encode("latin-1") + ALONE.pem)
    key.write_bytes("# Z\u00fcrich\n".encode("latin-1") + ALONE.key_pem())
    settings = {variable: str(bundle)}
    if "CERT_FILE" in variable:
        settings["UPLOADPP_NATS_TLS_KEY_FILE"] = str(key)
    assert nats_options(read_settings({}, settings), "test").wants_tls


@pytest.mark.parametrize("whom", CONTEXTS)
def test_a_server_that_go_does_not_trust_is_not(tmp_path: Path, whom: str) -> None:
    (tmp_path / "ca.crt").write_bytes(STRANGER.pem + EXPIRED.pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(CONTEXTS[whom](tmp_path / "ca.crt"), SERVER, CHAIN, tmp_path)


@pytest.mark.parametrize("content", [b"", b"nothing\n", BROKEN, CRL])
@pytest.mark.parametrize("whom", ["NATS", "the storage"])
def test_a_bundle_without_certificate_is_never_that_of_the_system(
    tmp_path: Path, whom: str, content: bytes
) -> None:
    (tmp_path / "ca.crt").write_bytes(content)
    with pytest.raises(OSError, match="no certificate") as refused:
        CONTEXTS[whom](tmp_path / "ca.crt")
    assert refused.value.strerror == "contains no certificate in PEM form"


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (SERVER.pem, SERVER.key_pem(b"secret"), "damaged, encrypted or not in PEM form"),
        (SERVER.pem, ALONE.key_pem(), "the key is not that of the certificate"),
        (SERVER.pem, b"-----BEGIN PRIVATE KEY-----\nAAAA\n", "damaged, encrypted or not in PEM form"),
    ],
    ids=["encrypted", "of another certificate", "damaged"],
)
def test_what_cannot_be_shown_is_named_and_nobody_is_asked(
    tmp_path: Path, certificate: bytes, key: bytes, words: str
) -> None:
    """With an encrypted key the process asked for its password and waited."""
    paths = {"cert": tmp_path / "own.crt", "key": tmp_path / "own.key"}
    paths["cert"].write_bytes(certificate)
    paths["key"].write_bytes(key)
    variables = {f"UPLOADPP_NATS_TLS_{name.upper()}_FILE": str(path) for name, path in paths.items()}
    with pytest.raises(ConfigurationError, match=words) as refused:
        nats_options(read_settings({}, variables), "test")
    assert f"UPLOADPP_NATS_TLS_KEY_FILE={paths['key']}" in str(refused.value)
    with pytest.raises(ConfigError, match=words):
        of_kube(Access(server="https://x"), b"", certificate, key)
