"""All verbs as data: what the parser, the help, the man page and the completion are made from."""

from kubectl_pp.catalog.changing import CHANGING
from kubectl_pp.catalog.helping import HELPING
from kubectl_pp.catalog.looking import FOLLOWING, LOOKING
from kubectl_pp.catalog.verb import UPLOAD_NAMES, Names, Verb

VERBS: tuple[Verb, ...] = (*LOOKING, *CHANGING, *FOLLOWING, *HELPING)
BY_NAME = {verb.name: verb for verb in VERBS}
ALIASES = {"get": "status", "ls": "list", "describe": "status", "top": "watch"}

__all__ = ["ALIASES", "BY_NAME", "UPLOAD_NAMES", "VERBS", "Names", "Verb"]
