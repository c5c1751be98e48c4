"""Who may own a shard, whatever the Lease says and whoever wrote it."""

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.lease_claim import Claim, Record, claim, identity, pod_of, record_of

OWN_SECONDS = 15.0
SEEN_AT = 1_000.0
OTHER = Record("node-b_pod-2.y", "mark", 10.0, 3)
ME = "node-a_pod-1.x"


def claimed(record: Record | None, *, silent: float, longest: float = 100.0, alive: bool = False) -> Claim:
    """What we may do about a lease whose holder has been silent for so many seconds."""
    return claim(record, ME, SEEN_AT, SEEN_AT + silent, longest, alive=alive)


class TestClaim:
    @pytest.mark.parametrize("record", [None, Record("", "mark", 10.0, 3)], ids=["none", "released"])
    def test_a_lease_that_nobody_holds_is_taken_at_once(self, record: Record | None) -> None:
        assert claimed(record, silent=0) is Claim.TAKE

    def test_our_own_is_kept_however_late_we_renew_it(self) -> None:
        assert claimed(Record(ME, "mark", 10.0, 3), silent=99) is Claim.KEEP

    @pytest.mark.parametrize(("silent", "expected"), [(0, Claim.WAIT), (9.9, Claim.WAIT), (10, Claim.TAKE)])
    def test_a_silent_holder_is_waited_for_as_long_as_its_lease_says(
        self, silent: float, expected: Claim
    ) -> None:
        assert claimed(OTHER, silent=silent) is expected

    @pytest.mark.parametrize(("silent", "expected"), [(3.9, Claim.WAIT), (4, Claim.TAKE)])
    def test_a_lease_cannot_ask_for_more_patience_than_we_have(self, silent: float, expected: Claim) -> None:
        assert claimed(OTHER, silent=silent, longest=4) is expected

    @pytest.mark.parametrize(("silent", "expected"), [(10, Claim.WAIT), (29.9, Claim.WAIT), (30, Claim.TAKE)])
    def test_a_holder_that_is_heard_is_waited_for_up_to_the_limit(
        self, silent: float, expected: Claim
    ) -> None:
        assert claimed(OTHER, silent=silent, longest=30, alive=True) is expected

    def test_without_a_limit_a_holder_counts_as_unheard_until_we_are_told(self) -> None:
        assert claim(OTHER, ME, SEEN_AT, SEEN_AT + 10) is Claim.TAKE
        assert claim(OTHER, ME, SEEN_AT, SEEN_AT + 1_000_000, alive=True) is Claim.WAIT

    def test_the_process_before_us_in_our_pod_is_gone(self) -> None:
        assert claimed(Record("node-a_pod-1.old", "mark", 10.0, 3), silent=0, alive=True) is Claim.TAKE

    @pytest.mark.parametrize(
        ("me", "holder"),
        [("node_x", "node_y"), ("node_pod-1.x", "node_y"), ("node_x", "node_pod-1.y")],
        ids=["neither", "only ours", "only its"],
    )
    def test_processes_without_a_pod_in_common_wait_for_each_other(self, me: str, holder: str) -> None:
        """Outside Kubernetes two processes may run on one host at once."""
        assert claim(Record(holder, "mark", 10.0, 3), me, SEEN_AT, SEEN_AT) is Claim.WAIT


class TestIdentity:
    def test_names_host_pod_and_process(self) -> None:
        assert identity("node-a", "pod-1", "x") == ME

    def test_without_a_pod_it_names_host_and_process(self) -> None:
        assert identity("node-a", "", "x") == "node-a_x"

    @pytest.mark.parametrize(
        ("host", "named"),
        [
            ("a.b_c-D9", "a.b_c-D9"),
            ("two  words", "two-words"),
            ("näme", "n-me"),
            ("-._host_.-", "host"),
            ("X-9-X", "X-9-X"),
            ("///", "host"),
            ("", "host"),
            ("h" * 300, "h" * 253),
            ("h" * 252 + ".h", "h" * 252),
        ],
        ids=[
            "plain",
            "words",
            "umlaut",
            "ends",
            "letters stay",
            "nothing left",
            "empty",
            "long",
            "cut at a dot",
        ],
    )
    def test_of_the_host_what_a_host_cannot_be_called_is_left_out(self, host: str, named: str) -> None:
        assert identity(host, "pod-1", "x") == f"{named}_pod-1.x"

    @pytest.mark.parametrize(
        ("holder", "pod"),
        [
            ("node-a_pod-1.x", "pod-1"),
            ("node_a.b_pod-1.x", "pod-1"),
            ("node.a_x", ""),
            ("pod-1.x", "pod-1"),
            ("node-a_a.b.x", "a.b"),
            ("", ""),
        ],
        ids=["usual", "odd host", "no pod", "no host", "dots", "empty"],
    )
    def test_the_pod_is_what_stands_between_host_and_process(self, holder: str, pod: str) -> None:
        assert pod_of(holder) == pod


class TestRecordOf:
    def test_says_what_the_lease_says(self) -> None:
        spec = {
            "holderIdentity": "b",
            "renewTime": "2026-01-01T00:00:00Z",
            "leaseDurationSeconds": 10,
            "leaseTransitions": 3,
        }
        assert record_of(spec, OWN_SECONDS) == Record("b", "2026-01-01T00:00:00Z", 10.0, 3)

    @pytest.mark.parametrize("spec", [None, {}, [], "x", 7], ids=["none", "empty", "list", "text", "number"])
    def test_a_lease_without_content_has_no_holder_and_our_own_time(self, spec: object) -> None:
        assert record_of(spec, OWN_SECONDS) == Record("", "", OWN_SECONDS, 0)

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [
            (1, 1.0),
            (1_000_000, 1_000_000.0),
            (1_000_001, 1_000_000.0),
            (10**400, 1_000_000.0),
            (0, OWN_SECONDS),
            (-5, OWN_SECONDS),
            ("10", OWN_SECONDS),
            (True, OWN_SECONDS),
            (None, OWN_SECONDS),
        ],
        ids=["1", "longest", "longer", "huge", "zero", "negative", "text", "true", "none"],
    )
    def test_a_time_that_cannot_be_waited_for_is_not_believed(self, seconds: object, expected: float) -> None:
        found = record_of({"leaseDurationSeconds": seconds}, OWN_SECONDS).duration_seconds
        assert (found, type(found)) == (expected, float)

    @pytest.mark.parametrize(
        ("transitions", "expected"),
        [(0, 0), (1, 1), (1_000_000_000, 1_000_000_000), (1_000_000_001, 0), (-1, 0), ("3", 0), (True, 0)],
        ids=["none", "one", "most", "too many", "negative", "text", "true"],
    )
    def test_transitions_that_cannot_be_ours_begin_again(self, transitions: object, expected: int) -> None:
        """The API server would refuse one more than the largest."""
        found = record_of({"leaseTransitions": transitions}, OWN_SECONDS).transitions
        assert (found, type(found)) == (expected, int)

    @pytest.mark.parametrize("value", [17, ["a"], True], ids=["number", "list", "true"])
    def test_words_of_another_type_are_told_apart_as_text(self, value: object) -> None:
        found = record_of({"holderIdentity": value, "renewTime": value}, OWN_SECONDS)
        assert (found.holder, found.renewed) == (str(value), str(value))


RECORD = Record(holder="other", renewed="r", duration_seconds=15, transitions=1)


@pytest.mark.parametrize(
    ("record", "now", "answer"),
    [
        (None, 0, Claim.TAKE),
        (evolve(RECORD, holder=""), 0, Claim.TAKE),
        (evolve(RECORD, holder="me"), 99, Claim.KEEP),
        (RECORD, 24.9, Claim.WAIT),
        (RECORD, 25, Claim.TAKE),
    ],
)
def test_a_lease_is_taken_when_its_holder_was_silent_for_long_enough(
    record: Record | None, now: float, answer: Claim
) -> None:
    assert claim(record, "me", seen_at=10, now=now) is answer


@pytest.mark.parametrize(
    ("holder", "me", "expected"),
    [
        (identity("a", "pod-1", "x"), identity("a", "pod-1", "y"), Claim.TAKE),
        (identity("a", "pod-1", "x"), identity("a", "pod-1", "x"), Claim.KEEP),
        (identity("a", "pod-1", "x"), identity("a", "pod-2", "y"), Claim.WAIT),
        (identity("a", "pod-1", "x"), identity("a", "", "y"), Claim.WAIT),
        (identity("a", "", "x"), identity("a", "pod-1", "y"), Claim.WAIT),
        (identity("a", "", "x"), identity("a", "", "y"), Claim.WAIT),
        (identity("a_b.c", "", "x"), identity("a_b.c", "", "y"), Claim.WAIT),
    ],
)
def test_only_a_holder_of_our_own_pod_is_not_waited_for(holder: str, me: str, expected: Claim) -> None:
    """The kubelet has seen its end; no other Pod ever has that UID."""
    assert claim(evolve(RECORD, holder=holder), me, seen_at=0, now=0) is expected


@pytest.mark.parametrize(
    ("host", "pod", "name"),
    [
        ("node-1", "", "node-1_x7"),
        ("node-1", "6f1c-2b", "node-1_6f1c-2b.x7"),
        ("a_b.c", "d.e", "a_b.c_d.e.x7"),
    ],
)
def test_a_holder_is_named_after_its_pod_if_it_has_one(host: str, pod: str, name: str) -> None:
    assert identity(host, pod, "x7") == name
    assert pod_of(name) == pod
