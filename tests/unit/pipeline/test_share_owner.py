"""Whose share an upload takes."""

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.model import FileInfo, Origin, Upload
from uploadpp.core.shares import FairShare, Share, SharePolicy
from uploadpp.pipeline.share_owner import share_of_upload, size_of, space_of, user_of
from uploadpp.testing.builders import START


@pytest.mark.parametrize(
    ("shown", "sealed", "user"),
    [
        ("mary", "null", "mary"),
        ("", '{"id":{"opaque_id":"mary"}}', "mary"),
        ("", "null", ""),
        ("", '{"id":7}', ""),
        ("", '{"id":[]}', ""),
        ("", "{", ""),
    ],
)
def test_the_user_is_known_even_where_he_is_not_shown(shown: str, sealed: str, user: str) -> None:
    upload = Upload(
        id="u", received_at=START, file=FileInfo(user_id=shown), origin=Origin(executing_user=sealed)
    )
    assert user_of(upload) == user


@pytest.mark.parametrize(
    ("shown", "sealed", "space"),
    [("team", "null", "team"), ("", '{"space_id":"team"}', "team"), ("", "null", ""), ("", "{}", "")],
)
def test_the_space_is_known_even_where_it_is_not_shown(shown: str, sealed: str, space: str) -> None:
    upload = Upload(
        id="u", received_at=START, file=FileInfo(space_id=shown), origin=Origin(resource_id=sealed)
    )
    assert space_of(upload) == space


def test_a_share_is_of_a_user_or_of_a_space() -> None:
    file, origin = FileInfo(user_id="mary", space_id="team"), Origin(filesize="7")
    upload = Upload(id="u", received_at=START, file=file, origin=origin)
    weights = {"mary": 2, "team": 3}
    assert share_of_upload(upload, SharePolicy(weights=weights)) == Share("mary", "normal", 8)
    by_space = SharePolicy(by=FairShare.SPACE, weights=weights)
    assert share_of_upload(upload, by_space) == Share("team", "normal", 12)
    assert size_of(upload) == 7
    low = evolve(upload, priority_class="low")
    assert share_of_upload(low, SharePolicy(weights=weights)) == Share("mary", "low", 2)
