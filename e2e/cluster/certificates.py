"""Keys and certificates of a throw-away control plane."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=30)
CLIENT = "uploadpp"
"""The name in client.crt."""
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


def write_certificates(folder: Path, addresses: Sequence[str] = ("127.0.0.1",)) -> None:
    """Write ca.crt, server.crt and client.crt, their keys and service-account.key, unless they are there."""
    if (folder / "service-account.key").exists():
        return
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _sign(_name("uploadpp local CA"), ca_key, _name("uploadpp local CA"), ca_key.public_key())
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = _sign(ca.subject, ca_key, _name("kube-apiserver"), server_key.public_key(), addresses)
    client_key = ec.generate_private_key(ec.SECP256R1())
    client = _sign(ca.subject, ca_key, _name(CLIENT), client_key.public_key(), addresses, server=False)
    (folder / "client.crt").write_bytes(client.public_bytes(Encoding.PEM))
    _write_key(folder / "client.key", client_key)
    (folder / "ca.crt").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "server.crt").write_bytes(server.public_bytes(Encoding.PEM))
    _write_key(folder / "server.key", server_key)
    _write_key(folder / "service-account.key", rsa.generate_private_key(65537, 2048))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign(
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    addresses: Sequence[str] = (),
    *,
    server: bool = True,
) -> x509.Certificate:
    """A certificate that strict verifiers accept too: with key identifiers. Only a CA has no addresses."""
    ca = not addresses
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(_key_usage(ca=ca), critical=True)
    )
    if not ca:
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if not ca and server:
        names = [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
        san = x509.SubjectAlternativeName([*map(x509.DNSName, _NAMES), *names])
        builder = builder.add_extension(san, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
