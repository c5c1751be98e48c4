"""Which share an upload belongs to, and how much the share counts."""

from uploadpp.core.shares import CLASSES, NORMAL, FairShare, Share, SharePolicy, longest_wait


def test_without_settings_all_users_count_the_same() -> None:
    policy = SharePolicy()
    assert policy.share("mary", "") == Share("mary", NORMAL, policy.normal)
    assert policy.share("paul", "").weight == policy.normal


def test_weights_of_user_and_class_are_multiplied() -> None:
    policy = SharePolicy(weights={"mary": 3}, classes={"normal": 2, "bulk": 1})
    assert policy.normal == 2
    assert policy.share("mary", "bulk") == Share("mary", "bulk", 3)
    assert policy.share("mary", "normal") == Share("mary", "normal", 6)
    assert policy.share("paul", "bulk") == Share("paul", "bulk", 1)


def test_an_unknown_class_is_normal() -> None:
    assert SharePolicy().share("mary", "urgent") == SharePolicy().share("mary", NORMAL)


def test_by_default_high_counts_more_and_low_less() -> None:
    assert CLASSES == {"high": 8, "normal": 4, "low": 1}


def test_users_share_and_nothing_overtakes_unless_it_is_configured() -> None:
    assert SharePolicy() == SharePolicy(by=FairShare.USER, small_first=0)


def test_the_longest_wait_is_one_turn_of_each_other_share_where_all_count_the_same() -> None:
    assert longest_wait(4, []) == 0
    assert longest_wait(4, [4, 4, 1]) == 3


def test_the_longest_wait_is_longer_behind_those_that_count_more() -> None:
    assert longest_wait(1, [8]) == 1 + 9 * 7 // 8
    assert longest_wait(2, [2, 4]) == 2 + 8 * 2 // 8
