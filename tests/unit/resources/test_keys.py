"""A wrong key is the installation's fault; a damaged resource is its own."""

import pytest

from uploadpp.kube.sealing import UnknownKeyError
from uploadpp.resources.keys import (
    KEY_ANNOTATION,
    SEVERAL,
    STEPS_ANNOTATION,
    KeyCheck,
    WrongKeyError,
    differences,
)


@pytest.mark.parametrize(
    ("opened", "unknown", "wrong"),
    [
        (0, 0, False),
        (5, 0, False),
        (0, 1, True),  # the only upload there is
        (1, 1, False),  # left alone: our key opens the others
        (1000, SEVERAL - 1, False),
        (1000, SEVERAL, True),  # two replicas with different keys
        (0, 97, True),
    ],
)
def test_it_is_the_key_when_nothing_or_several_do_not_open(opened: int, unknown: int, *, wrong: bool) -> None:
    check = KeyCheck("kours")
    for _ in range(opened):
        check.opened()
    for number in range(unknown):
        check.failed(f"uid-{number}", UnknownKeyError("ktheirs"))
        check.failed(f"uid-{number}", UnknownKeyError("ktheirs"))  # listed twice
    assert check.unknown == unknown
    if not wrong:
        check.settle()
        return
    with pytest.raises(WrongKeyError, match=f"{unknown} uploads .*ktheirs.*kours.*UPLOADPP_SEALING_KEY_FILE"):
        check.settle()


def test_a_resource_of_an_older_version_does_not_name_its_key() -> None:
    check = KeyCheck("kours")
    check.failed("uid", UnknownKeyError(""))
    with pytest.raises(WrongKeyError, match="another key"):
        check.settle()


@pytest.mark.parametrize(
    ("by_status", "opened", "wrong"),
    [
        ("kours", 0, False),  # somebody has written into spec.sealed, and cannot write into the status
        ("kours", 9, False),
        ("kold", 0, False),  # an older key of ours
        ("ktheirs", 0, True),
        ("", 9, True),  # of a version that did not say it
        (None, 0, True),
        (["kours"], 9, True),
    ],
)
def test_s5_forged_sealed_parts_stop_no_shard(by_status: object, opened: int, *, wrong: bool) -> None:
    check = KeyCheck("kours", "kold")
    for _ in range(opened):
        check.opened()
    for number in range(20):
        check.failed(f"uid-{number}", UnknownKeyError("kforged"), by_status)
    if not wrong:
        check.settle()
        return
    with pytest.raises(WrongKeyError, match="20 uploads are sealed with "):
        check.settle()


@pytest.mark.parametrize(
    ("by_status", "of_another", "wrong"),
    [
        ("ktheirs", False, True),  # the key was rotated, and has reached one replica only
        ("ktheirs", True, False),  # restored from a backup of another installation
        ("kours", False, False),
        (None, False, False),
        ("", False, False),
    ],
)
def test_one_upload_whose_status_names_another_key_proves_that_it_is_missing(
    by_status: object, *, of_another: bool, wrong: bool
) -> None:
    check = KeyCheck("kours")
    for _ in range(1000):
        check.opened()
    check.failed("uid", UnknownKeyError("ktheirs"), by_status, of_another=of_another)
    if not wrong:
        check.settle()
        return
    with pytest.raises(WrongKeyError, match="1 uploads are sealed with ktheirs"):
        check.settle()


OWNER = {KEY_ANNOTATION: "k1", STEPS_ANNOTATION: "virusscan"}


@pytest.mark.parametrize(
    ("owner", "steps", "keys", "wrong", "warning"),
    [
        (OWNER, "virusscan", ("k1",), False, False),
        (OWNER, "virusscan", ("k2", "k1"), False, False),  # a rotation
        (OWNER, "virusscan", ("k2",), True, False),
        (OWNER, "policies", ("k1",), False, True),
        ({}, "policies", ("k2",), False, False),  # an older version
    ],
)
def test_a_standby_compares_its_settings_with_the_owners(
    owner: dict[str, str], steps: str, keys: tuple[str, ...], *, wrong: bool, warning: bool
) -> None:
    found = differences(owner, {STEPS_ANNOTATION: steps}, keys)
    assert (bool(found[0]), bool(found[1])) == (wrong, warning)
