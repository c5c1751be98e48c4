"""The demo's two step services.

`virusscan` is made with the kit (`uploadpp.steps`), as most steps will be. `policies` is written directly on
NATS, as a stranger to this project would write it: it shows that the operator asks for no more than the event
contract.
"""
