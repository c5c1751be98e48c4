"""What is wrong with a command line, and what to write instead. Loaded for mistakes only."""

from __future__ import annotations

from difflib import get_close_matches

from kubectl_pp.catalog import BY_NAME, Names, Verb
from kubectl_pp.errors import UsageError

GET = "kubectl get uploadpostprocessings"
OF_GET = frozenset(
    {"--show-labels", "--show-kind", "--show-managed-fields", "--label-columns", "-L", "-f", "--filename"}
    | {"--chunk-size", "--ignore-not-found", "--raw", "--subresource", "--template"}
)
"""Flags of `kubectl get` that we do not have."""
INSTEAD = {
    "--for": "kubectl pp wait NAME waits for the end; kubectl wait takes --for",
    "--no-color": "--color=never",
    "--watch-only": "kubectl pp watch",
    "--grace-period": "leave it out; uploads have no grace period",
}
OF_KUBECTL = {
    "delete": "kubectl pp cancel ends an upload; kubectl pp prune deletes the resources of ended ones",
    "edit": "kubectl edit uploadpostprocessings NAME",
    "patch": "kubectl patch uploadpostprocessings NAME",
    "explain": "kubectl explain uploadpostprocessings",
    "options": "kubectl pp list --help shows the flags that every verb takes",
}
"""Verbs of kubectl that we do not have."""


def unknown_verb(name: str, known: list[str]) -> UsageError:
    """About a verb that there is not."""
    near = get_close_matches(name, known, 1)
    remedy = f"did you mean {near[0]}?" if near else "kubectl pp --help"
    return UsageError(f"unknown verb {name!r}", OF_KUBECTL.get(name, remedy))


def explained(verb: Verb, words: list[str], error: UsageError) -> UsageError:
    """The error of argparse about a command line, with what to write instead if that is known."""
    text = str(error)
    if text.startswith("the following arguments are required: names"):
        odd = [word for word in _flags(words) if word not in _known(verb)]
        return (
            _unknown_flag(verb, odd[0])
            if odd
            else UsageError(
                f"{verb.name} needs the name or the id of an upload",
                "kubectl pp list shows the names",
            )
        )
    if text.startswith("unrecognized arguments: "):
        first = text.partition(": ")[2].partition(" ")[0]
        if first.startswith("-"):
            return _unknown_flag(verb, first.partition("=")[0], text)
        if verb.names is Names.NONE:
            shows = "; kubectl pp status takes names" if "status" in BY_NAME and verb.name == "list" else ""
            return UsageError(f"{verb.name} takes no names: {first}", f"leave it out{shows}")
    if text.startswith("argument -o/--output: invalid choice: ") and verb.name in {"list", "status"}:
        return UsageError(text, f"{GET} takes every format of kubectl")
    if text.endswith(": expected one argument"):
        name = text.removeprefix("argument ").partition(":")[0].rpartition("/")[2]
        return UsageError(text, f"{name}=VALUE, also where the value begins with a dash")
    return error


def _unknown_flag(verb: Verb, name: str, text: str = "") -> UsageError:
    near = get_close_matches(name, _known(verb), 1, 0.75)
    if name in OF_GET:
        remedy = f"{GET} takes it"
    elif name in INSTEAD and verb.name not in {"events", "logs"}:
        remedy = INSTEAD[name]
    elif near:
        remedy = f"did you mean {near[0]}?"
    elif verb.names is Names.NONE or name.startswith("--") or len(name) == len("-o"):
        remedy = f"kubectl pp {verb.name} --help"
    else:
        remedy = f"if it is a name, put -- before it: kubectl pp {verb.name} -- {name}"
    return UsageError(text or f"unrecognized arguments: {name}", remedy)


def _flags(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("-")]


def _known(verb: Verb) -> list[str]:
    return [name for flag in verb.flags for name in flag.names]
