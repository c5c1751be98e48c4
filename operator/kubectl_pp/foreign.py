"""Lists of objects that other people create: there may be thousands, of a megabyte each."""

from __future__ import annotations

from collections.abc import Callable

from kubectl_pp.client import TABLE, Client, Json

PAGE = 50
"""Maximum number of objects in memory at a time."""
MOST_KEPT = 20_000


def read(
    client: Client, path: str, params: dict[str, str], keep: Callable[[Json], Json | None]
) -> list[Json]:
    """The parts of the objects of a list that `keep` returns, of `MOST_KEPT` of them at most.

    Raises:
        PluginError: see `Client.get`.
    """

    def attempt() -> list[Json]:
        found: list[Json] = []
        for page in client.pages(path, params, limit=PAGE):
            found += [part for each in page.get("items") or [] if (part := keep(each)) is not None]
            if len(found) >= MOST_KEPT:
                return found[:MOST_KEPT]
        return found

    return client.retried(attempt)


def named(client: Client, path: str, matches: Callable[[str], object]) -> list[Json]:
    """The objects of a list whose names match, and of the others no more than the name.

    Raises:
        PluginError: see `Client.get`.
    """

    def names() -> list[str]:
        found: list[str] = []
        for page in client.pages(path, {"includeObject": "None"}, TABLE):
            columns = [str(column["name"]).lower() for column in page["columnDefinitions"]]
            at = columns.index("name")
            found += [name for row in page.get("rows") or [] if matches(name := str(row["cells"][at]))]
        return found

    chosen = client.retried(names)
    return [
        each for name in chosen for each in client.items(path, {"fieldSelector": f"metadata.name={name}"})
    ]
