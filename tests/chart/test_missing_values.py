"""Groups of values that are missing: upgrades of older releases with `--reuse-values`, and `null`."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from e2e.cluster.helm import CHART, Helm, HelmError
from tests.chart.rendering import NAMESPACE, OWN_CERTIFICATE, RELEASE, Object, render
from tests.chart.test_foreign_values import DEFAULTS, FIRST, KEY, LEAVES, parent_chart, with_value

ALL_ON: Object = {
    "networkPolicy": {"enabled": True},
    "replicas": 2,
    "metrics": {"prometheusRule": {"enabled": True}, "podMonitor": {"enabled": True}},
    "policies": {"webhook": {"certificate": OWN_CERTIFICATE}},
}
OTHER = {str: "off", bool: True, int: 200_000}
"""What a value of a type may be set to."""
GROUPS = sorted({path[:length] for path in LEAVES for length in range(1, len(path))})


def without(path: tuple[str, ...], values: Object) -> Object:
    """A copy of some values without one of them."""
    copy: Object = json.loads(json.dumps(values))
    inner = copy
    for name in path[:-1]:
        inner = inner.get(name, {})
    inner.pop(path[-1], None)
    return copy


def older_chart(folder: Path, *missing: tuple[str, ...]) -> Path:
    """The chart as `--reuse-values` has it: with the defaults of an older one, which lack these."""
    copy = folder / "upload-postprocessing"
    shutil.copytree(CHART, copy)
    values = DEFAULTS
    for path in missing:
        values = without(path, values)
    (copy / "values.yaml").write_text(yaml.safe_dump(values))
    return copy


@pytest.mark.parametrize("path", [path for path in GROUPS if path != ("sealingKey",)], ids=".".join)
def test_a_group_that_is_missing_has_its_defaults(tmp_path: Path, path: tuple[str, ...]) -> None:
    """Each of them: which groups an older release lacks is a matter of its age."""
    plain = render(without(path, ALL_ON))
    if len(path) == 1:
        assert render(with_value(path, None, ALL_ON)) == plain
    assert Helm(NAMESPACE).render(RELEASE, KEY | without(path, ALL_ON), older_chart(tmp_path, path)) == plain


def test_without_the_group_of_the_sealing_key_a_key_is_asked_for() -> None:
    with pytest.raises(HelmError, match=r"sealingKey\.existingSecret: this render does not see the cluster"):
        Helm(NAMESPACE).render(RELEASE, {"sealingKey": None})


def test_one_value_of_a_new_group_may_be_set_in_an_upgrade_that_reuses_all_others(tmp_path: Path) -> None:
    """`helm upgrade --reuse-values --set quota.enabled=true`."""
    newer = [
        path
        for path in [*GROUPS, *LEAVES]
        if not any(f"{each}.".startswith(".".join(path) + ".") for each in FIRST)
    ]
    chart = older_chart(tmp_path, *newer)
    assert {("storageCheck",), ("quota",)} <= set(newer)
    tried = 0
    for path in newer:
        value = OTHER.get(type(LEAVES.get(path)))
        if value is None:
            continue
        given = KEY | with_value(path, value, ALL_ON)
        try:
            wanted = Helm(NAMESPACE).render(RELEASE, given)
        except HelmError:
            continue  # another word is needed
        assert Helm(NAMESPACE).render(RELEASE, given, chart) == wanted, path
        tried += 1
    assert tried > 10


@pytest.mark.parametrize("alias", ["", "postprocessing"])
def test_a_parent_chart_may_set_a_group_to_null(tmp_path: Path, alias: str) -> None:
    name = alias or "upload-postprocessing"
    chart = parent_chart(tmp_path / "parent", {"alias": alias} if alias else {})
    plain = Helm(NAMESPACE).render(RELEASE, {name: KEY}, chart)
    groups = {path[0] for path in GROUPS} - {"sealingKey"}
    nothing = KEY | dict.fromkeys([*groups, "maxRecorded"])
    assert Helm(NAMESPACE).render(RELEASE, {name: nothing}, chart) == plain


def test_every_template_begins_with_the_defaults() -> None:
    """Templates are read in no order that is promised."""
    for path in (CHART / "templates").rglob("*.yaml"):
        assert path.read_text().startswith('{{- include "upp.defaults" . }}\n'), path


def test_what_is_newer_than_the_first_version_can_be_missing() -> None:
    filled = {tuple(each["path"]) for each in json.loads((CHART / "files" / "defaults.json").read_text())}
    for path, default in LEAVES.items():
        name = ".".join(path)
        if not any(first == name or first.startswith(f"{name}.") for first in FIRST):
            assert path in filled or default in ("", [], {}), name
