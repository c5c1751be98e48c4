"""The demo's signed URLs."""

import pytest

from e2e.demo.signing import Signer, TokenError


def test_token_names_its_target_until_it_expires() -> None:
    signer = Signer()
    assert signer.target(signer.sign("http://x/tus/a", 60)) == "http://x/tus/a"
    with pytest.raises(TokenError, match="expired"):
        signer.target(signer.sign("http://x/tus/a", -3600))


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.b.\u00e9"])
def test_token_of_somebody_else_is_refused(token: str) -> None:
    with pytest.raises(TokenError, match="signature"):
        Signer().target(token)
    with pytest.raises(TokenError, match="signature"):
        Signer().target(Signer().sign("http://x/tus/a", 60))


def test_renewed_url_is_a_new_one() -> None:
    signer = Signer()
    assert signer.sign("t", 60) != signer.sign("t", 60)
