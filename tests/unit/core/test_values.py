"""Marks, origins, names, back-offs, copies: the small values everything else is made of."""

from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.core.bounds import LAST_MOMENT
from uploadpp.core.commands import NAMESPACE, Kind, Mark, _uuid5
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived
from uploadpp.core.lease_claim import Claim, Record, claim, identity, pod_of
from uploadpp.core.model import Control, FileInfo, Millis, Origin, StepPlan, StepStatus, Upload
from uploadpp.core.naming import resource_name
from uploadpp.core.retry import backoff
from uploadpp.core.sharding import BUCKETS, Shard, bucket_of
from uploadpp.core.states import OnExhausted, Stage, StepReason, StepState
from uploadpp.testing.builders import START, UPLOAD_ID

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.integers(1, 2**31 - 1)
tokens = st.from_regex(r"[A-Za-z0-9._-]{0,64}", fullmatch=True)
marks = st.one_of(
    st.builds(
        Mark,
        st.sampled_from([Kind.START, Kind.RETRY, Kind.RESTART]),
        numbers.map(Millis),
        numbers,
        numbers,
        words,
        tokens,
    ),
    st.builds(
        Mark, st.just(Kind.FINISH), numbers.map(Millis), numbers, numbers, st.sampled_from(["abort"]), tokens
    ),
)


@given(marks)
def test_a_mark_survives_the_wire(mark: Mark) -> None:
    assert Mark.decode(mark.encode()) == mark


@pytest.mark.parametrize(
    "text",
    [
        "",
        "start:1:1:1:",
        "stop:1:1:1::a",
        "start:x:1:1::a",
        "start:1:x:1::a",
        "start:1:1:x::a",
        "finish:1:1:1::maybe",
        "start:1:-1:1::a",
        "start:1:1:0::a",
        f"start:1:{2**31}:1::a",
        f"start:1:1:{2**31}::a",
    ],
)
def test_what_is_no_mark_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Mark.decode(text)


@pytest.mark.parametrize("detail", ["a:b", "a::b:c", ":", "::"])
def test_a_step_may_have_colons_in_its_name(detail: str) -> None:
    mark = Mark(Kind.START, START, 3, 2, detail, "t1")
    assert Mark.decode(mark.encode()) == mark


def test_a_count_that_the_resource_cannot_hold_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"^a count out of range$"):
        Mark.decode("start:1:1:0::a")


@pytest.mark.parametrize("moment", [0, LAST_MOMENT])
def test_any_moment_that_a_date_can_hold_is_one(moment: int) -> None:
    assert Mark.decode(f"start:{moment}:1:1::a").received_at == moment


@pytest.mark.parametrize("moment", [-1, LAST_MOMENT + 1])
def test_a_moment_that_no_date_can_hold_is_refused_in_words(moment: int) -> None:
    with pytest.raises(ValueError, match=r"^a moment that no date can hold$"):
        Mark.decode(f"start:{moment}:1:1::a")


def test_a_mark_of_no_run_is_one_of_an_unknown_upload() -> None:
    assert Mark.decode("restart:7:0:1::") == Mark(Kind.RESTART, Millis(7), 0, 1)


MARK = Mark(Kind.START, START, 1, 1, "a")


def test_event_ids_never_change() -> None:
    """They are in streams and in the stores of other services already."""
    assert MARK.event_id(UPLOAD_ID) == "d7a8fd8d-08c3-5dc9-9538-1474645293fa"


@given(words)
def test_event_ids_are_version_5_of_uuid(name: str) -> None:
    assert _uuid5(name) == str(uuid5(NAMESPACE, name))


def test_the_event_id_tells_commands_apart_and_not_by_the_token() -> None:
    others = [
        evolve(MARK, kind=Kind.FINISH),
        evolve(MARK, received_at=Millis(START + 1)),
        evolve(MARK, run=2),
        evolve(MARK, number=2),
        evolve(MARK, detail="b"),
    ]
    ids = {each.event_id(UPLOAD_ID) for each in [MARK, *others]} | {MARK.event_id("other")}
    assert len(ids) == 7
    assert evolve(MARK, token="t1").event_id(UPLOAD_ID) == MARK.event_id(UPLOAD_ID)


# -- origins ---------------------------------------------------------------------------------

HOUR = 3_600_000


def living(life: int) -> Origin:
    return Origin(url='"x"', url_received_at=START, url_expires_at=Millis(START + life))


@pytest.mark.parametrize(
    ("origin", "age", "renew"),
    [
        (Origin(), 0, True),
        (Origin(url='"x"'), 10**9, False),
        (living(24 * HOUR), 24 * HOUR - 300_001, False),
        (living(24 * HOUR), 24 * HOUR - 300_000, True),
        (living(100_000), 89_999, False),
        (living(100_000), 90_000, True),
    ],
    ids=[
        "no URL",
        "URL without end",
        "before the margin",
        "in the margin",
        "short life",
        "short life, in it",
    ],
)
def test_a_url_is_renewed_when_a_step_could_find_it_expired(origin: Origin, age: int, *, renew: bool) -> None:
    assert origin.needs_renewal(Millis(START + age), Millis(300_000)) is renew


def test_nothing_of_an_origin_ends_up_in_a_log() -> None:
    secret = Origin(url='"https://secret"', executing_user='"mary"', filename='"salary.ods"')
    assert repr(secret) == "Origin(…)"
    shown = repr(Upload(id="x", received_at=START, origin=secret))
    assert not {word for word in ("secret", "mary", "salary") if word in shown}
    assert repr(BytesReceived(secret, FileInfo())) == f"BytesReceived(file={FileInfo()})"


def test_a_renewed_url_brings_its_dates_and_nothing_else() -> None:
    known = Origin(url='"old"', executing_user='"mary"', initiator_id="web")
    fresh = evolve(living(HOUR), executing_user='"robot"', initiator_id="")
    assert known.with_url_of(fresh) == evolve(
        fresh, executing_user='"mary"', initiator_id="web", filename=known.filename
    )


# -- uploads ---------------------------------------------------------------------------------


def test_the_current_step_is_shown_while_there_is_one() -> None:
    upload = Upload(id="x", received_at=START, plan=(StepPlan(name="a"),))
    shown = {stage: evolve(upload, stage=stage).current_step for stage in Stage}
    in_step = {stage for stage, name in shown.items() if name == "a"}
    assert in_step == {stage for stage in Stage if stage.in_step}
    assert {stage for stage, name in shown.items() if name == "finished"} == {
        Stage.AWAITING_READY,
        Stage.RELEASE_BACKING_OFF,
        Stage.UPLOAD_FAILED,
    }
    assert evolve(upload, stage=Stage.SUSPENDED, cursor=1).current_step == "finished"
    assert set(shown.values()) == {"a", "finished", ""}


def test_retries_are_counted_over_all_steps() -> None:
    steps = (StepStatus(retries=2), StepStatus(), StepStatus(retries=3))
    assert Upload(id="x", received_at=START, steps=steps).retry_count == 5


def test_one_step_is_replaced_and_the_others_stay() -> None:
    first, second, third = (StepStatus(attempts=n) for n in (1, 2, 3))
    upload = Upload(id="x", received_at=START, steps=(first, second, third), cursor=1)
    assert upload.step is second
    changed = upload.with_step(1, StepStatus(attempts=9))
    assert changed.steps == (first, StepStatus(attempts=9), third)


FAILED, DONE = StepState.FAILED, StepState.SUCCEEDED


@pytest.mark.parametrize(
    ("steps", "decider"),
    [
        ([], None),
        ([(DONE, None)], None),
        ([(FAILED, StepReason.REJECTED)], 0),
        ([(FAILED, StepReason.CANCELLED), (StepState.WAITING, None)], 0),
        ([(FAILED, StepReason.RETRIES_EXHAUSTED)], None),
        ([(FAILED, StepReason.TIMED_OUT), (FAILED, StepReason.REJECTED)], 1),
        ([(FAILED, StepReason.REJECTED), (FAILED, StepReason.TIMED_OUT)], None),
    ],
)
def test_the_last_failure_decides_unless_the_step_may_be_passed_over(
    steps: list[tuple[StepState, StepReason | None]], decider: int | None
) -> None:
    plan = tuple(StepPlan(name=str(n), on_exhausted=OnExhausted.CONTINUE) for n in range(2))
    statuses = tuple(StepStatus(state=state, reason=reason) for state, reason in steps)
    assert Upload(id="x", received_at=START, plan=plan, steps=statuses).decider == decider


@pytest.mark.parametrize("reason", [StepReason.RETRIES_EXHAUSTED, StepReason.TIMED_OUT])
def test_a_step_that_may_not_be_passed_over_decides_by_being_out_of_retries(reason: StepReason) -> None:
    statuses = (StepStatus(state=FAILED, reason=reason),)
    assert Upload(id="x", received_at=START, plan=(StepPlan(name="a"),), steps=statuses).decider == 0


# -- the rest --------------------------------------------------------------------------------


@given(st.integers(1, 10**6), st.integers(0, 10**9), st.integers(0, 10**12))
def test_back_off_doubles_up_to_its_limit(failures: int, base: int, cap: int) -> None:
    expected = base
    for _ in range(min(failures - 1, 100)):
        expected = min(expected * 2, cap)
    assert backoff(failures, Millis(base), Millis(cap)) == min(expected, cap)


def test_back_off_of_the_peer() -> None:
    """5 s, doubled; the first fourteen take 22 h 45 m 15 s together."""
    waits = [backoff(n, Millis(5_000), Millis(43_200_000)) for n in range(1, 15)]
    assert waits[:3] == [5_000, 10_000, 20_000]
    assert sum(waits) == ((22 * 60 + 45) * 60 + 15) * 1000
    assert backoff(0, Millis(5_000), Millis(9_000)) == 5_000


@pytest.mark.parametrize(
    ("upload_id", "plain"),
    [
        (UPLOAD_ID, True),
        ("a", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("A", False),
        ("-a", False),
        ("a-", False),
        ("a/b", False),
        ("", False),
        ("u-1", False),
        ("größe", False),
    ],
    ids=range(11),
)
def test_names_of_resources(upload_id: str, *, plain: bool) -> None:
    name = resource_name(upload_id)
    assert (name == upload_id) is plain
    assert plain or (name.startswith("u-") and len(name) == 34)
    assert resource_name(upload_id + "x") != name


def test_the_name_of_a_resource_never_changes() -> None:
    """An upload is found by it after an update of the operator."""
    assert resource_name("größe") == "u-d353a2671b67afff0941ae456e5c76e9"


def test_a_copy_differs_in_what_was_asked_for_only() -> None:
    upload = Upload(id="x", received_at=START)
    copy = evolve(upload, run=3, message="m")
    assert copy == upload._replace(run=3, message="m")
    assert evolve(upload) == upload
    assert evolve(upload) is not upload
    with pytest.raises(KeyError):
        evolve(upload, nonsense=1)


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


def test_what_is_not_said_of_an_upload_is_as_the_storage_announces_one() -> None:
    """It was not made by hand, has its status, and its plan stands in its spec."""
    bare = Upload(id="u-1", received_at=START)
    assert (bare.origin, bare.file, bare.control) == (Origin(), FileInfo(), Control())
    assert (bare.origin.by_hand, bare.plan_in_status, bare.plan_fixed, bare.lost_status) == (False,) * 4
