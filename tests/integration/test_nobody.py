"""In a container the user is a number without a name."""

import sys

from e2e.cluster.instance import Instance
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions

# What getpwuid says of a user who is in no /etc/passwd, whatever the environment says.
NAMELESS = """
import getpass
def getuser():
    raise KeyError("getpwuid(): uid not found: 65532")
getpass.getuser = getuser
from uploadpp.__main__ import main
main()
"""


class Nameless(Operator):
    """The operator, run by nobody in particular."""

    def argv(self) -> list[str]:
        return [sys.executable, "-c", NAMELESS, "run"]


def test_a_user_without_a_name_runs_it(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str
) -> None:
    operator = Nameless(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))
    operator.start()
    operator.stop()
    assert "the ownership failed" not in operator.log.read_text()
