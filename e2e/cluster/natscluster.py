"""A cluster of real nats-servers, as production runs it: each may be killed, frozen or cut off."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.links import Link, Links
from e2e.cluster.nats import NatsServer
from e2e.cluster.service import StartError
from e2e.cluster.waiting import wait_until

_CONFIG = """
server_name: {name}
client_advertise: "{clients}"
cluster {{ name: nats, listen: "127.0.0.1:{port}", advertise: "{nowhere}", routes: [{routes}] }}
{more}
"""
NOWHERE = "127.0.0.1:1"
"""Servers tell each other where to find them. They are to use the links that they were told."""
_SECONDS = 60.0


class Member(NatsServer):
    """One server of a cluster. `link` is in front of its port for clients, and is what they are told."""

    port_names: ClassVar[tuple[str, ...]] = ("client", "monitor", "cluster")

    def __init__(self, instance: Instance, name: str, version: str | None, links: Links, more: str) -> None:
        super().__init__(instance, name=name, version=version)
        self.link = links.to(lambda: self.port("client"))
        self._more = more

    def join(self, routes: Mapping[str, Link]) -> None:
        """Reach the other servers so."""
        self.config = _CONFIG.format(
            name=self.name,
            clients=self.link.address,
            port=self.port("cluster"),
            nowhere=NOWHERE,
            routes=", ".join(f'"nats-route://{link.address}"' for link in routes.values()),
            more=self._more,
        )

    def asked(self, path: str) -> dict[str, Any]:
        """What it says of itself over HTTP."""
        found: dict[str, Any] = json.loads(get(f"{self.monitor_url}/{path}"))
        return found


class NatsCluster:
    """Servers that replicate their streams. It ends with the process that made it."""

    def __init__(
        self,
        instance: Instance | None = None,
        *,
        size: int = 3,
        version: str | None = None,
        config: str = "",
    ) -> None:
        self.instance = instance or Instance.temporary("natscluster")
        self._links = Links()
        names = [f"nats-{number}" for number in range(size)]
        self.members = [Member(self.instance, name, version, self._links, config) for name in names]
        self._routes = {
            member.name: {
                other.name: self._links.to(lambda other=other: other.port("cluster"))  # type: ignore[misc]
                for other in self.members
                if other is not member
            }
            for member in self.members
        }
        for member in self.members:
            member.join(self._routes[member.name])

    @property
    def urls(self) -> list[str]:
        """Where clients find the servers themselves, whatever becomes of their links."""
        return [member.url for member in self.members]

    def start(self) -> None:
        """Start the servers that do not run, and wait until all work together."""
        for member in self.members:
            if member.process is None:
                member.launch()
        for member in self.members:
            member.wait_ready(_SECONDS)

    def close(self) -> None:
        """End all servers and forget their data."""
        self._links.close()
        self.instance.close()

    def isolate(self, member: Member) -> None:
        """Cut a server off from the others. Its clients still reach it."""
        for link in self._of(member):
            link.cut()

    def rejoin(self, member: Member) -> None:
        """Let the others reach it again."""
        for link in self._of(member):
            link.mend()

    def leader_of(self, stream: str) -> Member:
        """The server that leads a stream; waits until there is one."""
        found: list[Member] = []

        def elected() -> bool:
            found[:] = (each for each in self.members if each.name == self._leader(stream))
            return bool(found)

        if not wait_until(elected, _SECONDS):
            raise StartError(f"no server leads the stream {stream}")
        return found[0]

    def others(self, *known: Member) -> list[Member]:
        """All but these."""
        return [member for member in self.members if member not in known]

    def connected_to(self, client: str) -> Member | None:
        """The server with a connection of that name; None when there is none."""
        for member in self._running():
            with suppress(OSError):
                if any(each.get("name") == client for each in member.asked("connz")["connections"]):
                    return member
        return None

    def _leader(self, stream: str) -> str:
        for member in self._running():
            with suppress(OSError):
                for account in member.asked("jsz?streams=true").get("account_details", ()):
                    for each in account.get("stream_detail", ()):
                        if each["name"] == stream and each["cluster"].get("leader") == member.name:
                            return member.name
        return ""

    def _running(self) -> Iterator[Member]:
        return (member for member in self.members if member.process is not None)

    def _of(self, member: Member) -> list[Link]:
        """The routes from a server, and those to it."""
        to_it = [self._routes[other.name][member.name] for other in self.others(member)]
        return [*self._routes[member.name].values(), *to_it]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
