"""What the plugin selects on the API server is exactly what a look at every upload would choose."""

from argparse import Namespace

from hypothesis import given

from kubectl_pp import fields, selection
from kubectl_pp.upload import Upload as Shown
from tests.property.walks import walks
from uploadpp.api.codec import ShownField, to_resource, to_status
from uploadpp.core.config import Config
from uploadpp.core.model import Upload
from uploadpp.core.states import Stage

ALL_SHOWN = frozenset(ShownField)
FILTERS: tuple[dict[str, object], ...] = (
    {},
    {"running": True},
    {"failed": True},
    {"stalled": True},
    {"failed": True, "stalled": True},
    {"running": True, "stalled": True},
    {"all": True},
    {"processing": "true"},
    {"processing": "false"},
    {"has_virus": "true"},
    {"has_virus": "false"},
    {"expired": "true"},
    {"expired": "false"},
    {"processing": "false", "has_virus": "true"},
    {"has_virus": "false", "failed": True},
    {"step": "virusscan", "running": True},
    {"outcome": "delete", "failed": True},
)


def shown(upload: Upload) -> Shown:
    """The upload as the plugin gets it."""
    resource = to_resource(upload, namespace="ns", shown=ALL_SHOWN, sealed="")
    resource["status"] = to_status(upload)
    return Shown(resource)


def found(options: Namespace, upload: Shown) -> int:
    """How often the lists of the API server hold an upload that passes our own tests."""
    if not all(test(upload) for test in selection.tests(options)):
        return 0
    lists = [fields.conditions(query.get("fieldSelector", "")) for query in selection.queries(options)]
    by_row = selection.unreleased(options)
    if by_row and upload.stage != Stage.COMPLETED:
        lists.append(fields.conditions(by_row["fieldSelector"]))
    return sum(all(condition.holds(upload.raw) for condition in each) for each in lists)


def wanted(options: Namespace, upload: Shown) -> int:
    """Whether a look at the upload alone chooses it."""
    if getattr(options, "all", False) and upload.ended:
        return 0
    given_too = (("step", upload.step), ("outcome", upload.outcome))
    same = all(getattr(options, name, value) == value for name, value in given_too)
    return int(same and all(test(upload) for test in selection.tests(options)))


@given(walks())
def test_filters_of_the_api_server_leave_nobody_out_and_count_nobody_twice(
    walk: tuple[Config, list[Upload]],
) -> None:
    """Whatever state an upload is in."""
    for upload in walk[1]:
        each = shown(upload)
        for filters in FILTERS:
            options = Namespace(**filters)
            assert found(options, each) == wanted(options, each), (filters, each.stage, each.raw["status"])
