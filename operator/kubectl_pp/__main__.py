"""Entry of the zipapp; old Pythons get a sentence instead of a traceback."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 -- whoever runs the zipapp may have any Python
    sys.exit("kubectl pp needs Python 3.9 or newer; this is " + sys.version.split()[0])

try:
    from kubectl_pp.cli import main
    from kubectl_pp.interrupts import INTERRUPTS
except KeyboardInterrupt:  # before there is a command to interrupt
    sys.exit(130)

try:
    status = main()
except KeyboardInterrupt:  # a second signal, while the command was ending because of the first
    status = 130
INTERRUPTS.rest()
sys.exit(status)
