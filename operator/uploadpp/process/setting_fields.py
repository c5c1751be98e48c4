"""A setting: the field of a model with the variables that may hold it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr


class Sourced(BaseModel):
    """Settings that know what has set them, for errors that are found after they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def sources(self) -> Mapping[str, str]:
        """The variable or the flag of each setting that was set."""
        return MappingProxyType(self._sources)

    def note_sources(self, sources: Mapping[str, str]) -> None:
        """Remember them; only the reader of settings does this, once."""
        self._sources.update(sources)


def is_repeatable(name: str, model: type[BaseModel]) -> bool:
    """Whether the flag of a setting may be given several times."""
    extra = model.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("repeat"))


def is_empty_meant(name: str, model: type[BaseModel]) -> bool:
    """Whether a variable that is set to nothing counts as set."""
    extra = model.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("empty"))


def is_secret(name: str, model: type[BaseModel]) -> bool:
    """Whether a setting is a password or the like, of which any character may be part."""
    return (field := model.model_fields[name]).annotation is str and not field.repr


def env(*names: str, repeat: bool = False, empty: bool = False, **extra: Any) -> Any:  # noqa: ANN401 -- a field
    """A setting with the variables that may hold it, the one that counts most last.

    A variable that is set to nothing counts as not set, unless `empty` says that nothing means something.
    """
    return Field(json_schema_extra={"env": list(names), "repeat": repeat, "empty": empty}, **extra)


def ocis(suffix: str, own: str) -> tuple[str, ...]:
    """The variables of a setting that ocis and OpenCloud have for all services, and its own one."""
    return f"OCIS_{suffix}", f"OC_{suffix}", own
