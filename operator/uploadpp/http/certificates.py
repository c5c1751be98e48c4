"""Verifies certificates of servers, and presents a client certificate, as programs in Go do.

A bundle that kubectl or another service of ocis can use is used here as well: one that holds only an
intermediate authority or the server's own certificate, and one with parts that nobody can read.
"""

import errno
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Self

from uploadpp.http.files import read_regular

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[^-]*+-----END CERTIFICATE-----")


class ClientContext(ssl.SSLContext):
    """What a client needs for a connection by TLS."""

    def __new__(cls) -> Self:
        """Without what is trusted: see `trusting`."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    @classmethod
    def trusting(cls, authorities: bytes | None) -> Self:
        """Verifies servers against a bundle in PEM form; None is the authorities of the system.

        Raises:
            ssl.SSLError: there is no certificate in the bundle.
        """
        context = cls()
        context._verify_as_go()
        if authorities is not None:
            context._trust(authorities)
        else:
            context.load_default_certs()
        return context

    def skip_verification(self) -> None:
        """Accept any server certificate."""
        self.check_hostname = False
        self.verify_mode = ssl.CERT_NONE

    def present(self, certificate: str, key: str) -> None:
        """Present a client certificate; `key` is the file of its key, empty if it is in the same file.

        Raises:
            OSError: they cannot be used; `strerror` says why.
        """
        try:
            # Without a password, Python would prompt for that of an encrypted key.
            self.load_cert_chain(certificate, key or None, lambda: b"")
        except ssl.SSLError as error:
            why = "the key is not that of the certificate"
            if error.reason != "KEY_VALUES_MISMATCH":
                why = "the certificate or the key is damaged, encrypted or not in PEM form"
            raise ssl.SSLError(error.errno, why) from None

    def _verify_as_go(self) -> None:
        """Python 3.13 sets both flags by default.

        The first refuses certificates without key identifiers, which Go takes. The second makes each
        certificate of the bundle an anchor, as all of them are for Go.
        """
        self.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    def _trust(self, bundle: bytes) -> None:
        loaded = 0
        # Python accepts only ASCII, but comments may be in any language.
        for block in _BLOCK.findall(bundle.decode("ascii", "ignore")):
            with suppress(ssl.SSLError, ValueError):  # one that cannot be read is skipped, like comments
                self.load_verify_locations(cadata=block)
                loaded += 1
        if not loaded:
            raise ssl.SSLError(errno.EINVAL, "contains no certificate in PEM form")


def read_bundle(path: str | Path | None) -> bytes | None:
    """The bundle in a file; None if there is no file.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    if not path:
        return None
    return read_regular(path)
