"""Which shard an upload belongs to, and how replicas share the shards."""

import pytest

from uploadpp.core.sharding import BUCKETS, Shard, bucket_label, bucket_of, shares
from uploadpp.testing.builders import UPLOAD_ID

COUNTS = (1, 2, 3, 5, 63, 64)
IDS = tuple(f"upload-{number}" for number in range(500))


class TestBucket:
    @pytest.mark.parametrize(
        ("upload_id", "bucket"),
        [("upload-1", 9), ("7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11", 19), ("größe", 39)],
        ids=["short", "uuid", "umlaut"],
    )
    def test_never_changes_from_version_to_version(self, upload_id: str, bucket: int) -> None:
        """Resources keep the label that an earlier version has given them."""
        assert bucket_of(upload_id) == bucket

    def test_all_are_used(self) -> None:
        assert {bucket_of(each) for each in IDS} == set(range(BUCKETS))

    def test_its_label_has_two_digits_as_selectors_write_it(self) -> None:
        assert {bucket_label(each) for each in IDS} == {f"{bucket:02d}" for bucket in range(64)}
        assert all(int(bucket_label(each)) == bucket_of(each) for each in IDS)


class TestShard:
    @pytest.mark.parametrize("count", COUNTS)
    def test_each_upload_has_exactly_one(self, count: int) -> None:
        shards = [Shard(index, count) for index in range(count)]
        assert all(sum(shard.owns(each) for shard in shards) == 1 for each in IDS)

    @pytest.mark.parametrize("count", COUNTS)
    def test_its_selector_finds_all_that_it_owns_and_nothing_labelled_that_it_does_not(
        self, count: int
    ) -> None:
        for shard in (Shard(0, count), Shard(count - 1, count)):
            left_out = shard.selector.rpartition("(")[2].rstrip(")").split(",")
            assert all((bucket_label(each) not in left_out) is shard.owns(each) for each in IDS)

    def test_its_selector_lets_resources_without_a_label_through(self) -> None:
        """`notin` holds for them too: people make resources by hand."""
        assert Shard(1, 2).selector.startswith("uploadpp.io/bucket notin (00,02,04,")
        assert Shard(1, 2).selector.endswith(",60,62)")

    def test_a_single_one_need_not_ask(self) -> None:
        assert (Shard().selector, Shard().filter) == ("", None)
        assert all(Shard().owns(each) for each in IDS)

    @pytest.mark.parametrize("count", [2, 3])
    def test_one_of_several_asks_which_uploads_are_its_own(self, count: int) -> None:
        mine = Shard(1, count).filter
        assert mine is not None
        assert [mine(each) for each in IDS] == [bucket_of(each) % count == 1 for each in IDS]

    def test_its_lease_excludes_the_same_index_of_another_layout(self) -> None:
        assert Shard(2, 3).lease_name == Shard(2, 8).lease_name == "uploadpp-shard-2"
        assert Shard(1, 3).lease_name != Shard(2, 3).lease_name

    @pytest.mark.parametrize(
        ("shard", "prefix"),
        [(Shard(), "uploadpp-0-e"), (Shard(0, 2), "uploadpp-0of2-e"), (Shard(1, 12), "uploadpp-1of12-e")],
        ids=["single", "0 of 2", "1 of 12"],
    )
    def test_its_consumers_are_those_of_one_layout(self, shard: Shard, prefix: str) -> None:
        """Another number of shards has to read what a shard of the old layout has not passed on."""
        assert shard.consumer_prefix == prefix


class TestShares:
    @pytest.mark.parametrize(
        ("owned", "shards", "expected"),
        [
            ({}, 4, {}),
            ({"a": 0}, 4, {"a": 4}),
            ({"a": 4, "b": 0}, 4, {"a": 2, "b": 2}),
            ({"a": 0, "b": 3}, 3, {"a": 1, "b": 2}),
            ({"b": 0, "a": 0}, 3, {"a": 2, "b": 1}),
            ({"a": 1, "b": 2, "c": 2}, 5, {"a": 1, "b": 2, "c": 2}),
            ({"a": 0, "b": 0, "c": 1}, 1, {"a": 0, "b": 0, "c": 1}),
        ],
        ids=["nobody", "alone", "newcomer", "odd one stays", "same view", "settled", "more replicas"],
    )
    def test_are_even_and_move_as_few_as_possible(
        self, owned: dict[str, int], shards: int, expected: dict[str, int]
    ) -> None:
        assert shares(owned, shards) == expected

    def test_are_the_same_whatever_order_the_replicas_are_seen_in(self) -> None:
        assert shares({"a": 1, "b": 1}, 3) == shares({"b": 1, "a": 1}, 3) == {"a": 2, "b": 1}


def test_every_upload_belongs_to_one_shard() -> None:
    ids = [f"upload-{n}" for n in range(200)]
    for count in (1, 2, 5):
        owners = [[i for i in range(count) if Shard(i, count).owns(each)] for each in ids]
        assert all(len(each) == 1 for each in owners)
        assert {each[0] for each in owners} == set(range(count))
    assert {bucket_of(each) for each in ids} <= set(range(BUCKETS))


def test_the_bucket_of_an_upload_never_changes() -> None:
    """It is a label of its resource, and other versions look for it there."""
    assert BUCKETS == 64
    known = {"": 2, "a": 18, "größe": 39, UPLOAD_ID: 19}
    assert {each: bucket_of(each) for each in known} == known


def test_names_of_a_shard() -> None:
    assert (Shard().selector, Shard().lease_name, Shard().consumer_prefix) == (
        "",
        "uploadpp-shard-0",
        "uploadpp-0-e",
    )
    second = Shard(1, 2)
    assert second.selector.startswith("uploadpp.io/bucket notin (00,02,04,")
    assert (second.lease_name, second.consumer_prefix) == ("uploadpp-shard-1", "uploadpp-1of2-e")
