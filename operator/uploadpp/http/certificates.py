"""How certificates of servers are verified, and our own one is shown: as programs in Go do it.

A bundle that kubectl or another service of ocis can use is used here as well: one that holds only an
intermediate authority or the server's own certificate, and one with parts that nobody can read.
"""

import errno
import re
import ssl
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 4 << 20
"""Of a bundle. All authorities of a system take 250 kB."""
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[^-]*+-----END CERTIFICATE-----")


def client_context(authorities: bytes | None, kind: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """Verifies servers against a bundle in PEM form; None is the authorities of the system.

    Raises:
        ssl.SSLError: there is no certificate in the bundle.
    """
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    # Python 3.13 switches both on by default: the first refuses certificates without key identifiers, which
    # Go takes. The second makes each certificate of the bundle an anchor, as all of them are for Go.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if authorities is not None:
        _trust(context, authorities)
    else:
        context.load_default_certs()
    return context


def read_bundle(path: str | Path | None) -> bytes | None:
    """The bundle in a file; None if there is no file.

    Raises:
        OSError: it cannot be read.
    """
    if not path:
        return None
    with Path(path).open("rb") as file:
        return file.read(MOST_BYTES)


def _trust(context: ssl.SSLContext, bundle: bytes) -> None:
    loaded = 0
    # Python takes only ASCII, and comments are in all languages.
    for block in _BLOCK.findall(bundle.decode("ascii", "ignore")):
        with suppress(ssl.SSLError, ValueError):  # one that cannot be read is passed over, like comments
            context.load_verify_locations(cadata=block)
            loaded += 1
    if not loaded:
        raise ssl.SSLError(errno.EINVAL, "contains no certificate in PEM form")


def switch_verification_off(context: ssl.SSLContext) -> None:
    """Take any certificate of a server."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def show_own(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Show servers our own certificate; `key` is the file of its key, empty if the certificate's file has it.

    Raises:
        OSError: they cannot be used; `strerror` says why.
    """
    try:
        # Without a password Python would ask a person at the terminal for that of an encrypted key.
        context.load_cert_chain(certificate, key or None, lambda: b"")
    except ssl.SSLError as error:
        why = "the key is not that of the certificate"
        if error.reason != "KEY_VALUES_MISMATCH":
            why = "the certificate or the key is damaged, encrypted or not in PEM form"
        raise ssl.SSLError(error.errno, why) from None
