"""Field selectors evaluated in the plugin: as an API server evaluates them."""

import pytest

from kubectl_pp import fields
from kubectl_pp.errors import PluginError
from kubectl_pp.selection import escaped
from uploadpp.api.v1alpha1 import SELECTABLE

ODD_ID = "x,y=z\\"
ITEM = {
    "metadata": {"name": "a"},
    "spec": {"upload": {"id": ODD_ID, "spaceID": "s"}},
    "status": {"currentStep": "virusscan", "retryCount": 3},
}


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        ("", True),
        ("status.currentStep=virusscan", True),
        ("status.currentStep==virusscan", True),
        ("status.currentStep!=virusscan", False),
        ("status.completionTime=", True),
        ("status.completionTime!=", False),
        ("status.outcome!=continue,status.currentStep=virusscan", True),
        ("status.outcome!=continue,status.currentStep=policies", False),
        (f"spec.upload.id={escaped(ODD_ID)}", True),
        ("spec.upload.id=x", False),
        ("spec.upload.none.deeper=", True),
    ],
)
def test_conditions(selector: str, holds: bool) -> None:  # noqa: FBT001 -- a column of the table
    assert all(each.holds(ITEM) for each in fields.conditions(selector)) is holds


def test_what_is_not_a_selector_is_said() -> None:
    with pytest.raises(PluginError, match="invalid field selector 'nonsense'"):
        fields.conditions("a=b,nonsense")


def test_the_fields_are_those_of_the_crd() -> None:
    assert [f".{each}" for each in fields.SELECTABLE] == list(SELECTABLE)


def test_what_every_api_server_knows_is_left_to_it() -> None:
    params = {
        "fieldSelector": "metadata.name=a,status.outcome!=delete",
        "includeObject": "None",
        "limit": "500",
    }
    rest, here = fields.split(params)
    assert rest == {"fieldSelector": "metadata.name=a", "includeObject": "Object", "limit": "500"}
    assert here == [fields.Condition("status.outcome", "delete", equal=False)]
