"""The command line: find the verb, parse its flags, run it, turn errors into words and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from importlib import import_module
from typing import NoReturn

from kubectl_pp.catalog import ALIASES, BY_NAME, Names, Verb
from kubectl_pp.context import Context, check_namespace
from kubectl_pp.errors import ExitCode, PluginError, UnavailableError, UsageError
from kubectl_pp.flags import ALWAYS, Flag
from kubectl_pp.interrupts import INTERRUPTS
from kubectl_pp.screen import Color, Screen, safe

COMPLETE = "__complete"
_NARGS: dict[Names, int | str] = {
    Names.NONE: 0,
    Names.ONE: 1,
    Names.SOME: "*",
    Names.MANY: "+",
    Names.SHELL: "?",
    Names.VERB: "?",
    Names.TEST: "?",
}


class _Parser(ArgumentParser):
    """Raises instead of printing and exiting."""

    def error(self, message: str) -> NoReturn:
        """A wrong command line."""
        raise UsageError(message, f"{self.prog} --help")


NARROWING = {"step", "outcome", "space", "user_id", "since", "older", "upload_id", "s", "from_step"}
SELECTORS = {"selector", "field_selector"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    INTERRUPTS.listen()
    try:
        return _run(words)
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:  # noqa: BLE001 -- what stands in its place in an answer is not known beforehand
        return _interrupted() if INTERRUPTS.raised else _failed(error)


def _interrupted() -> int:
    sys.stderr.write("\n")
    return ExitCode.INTERRUPTED


def _failed(error: Exception) -> int:
    """Say what went wrong; returns the exit code."""
    if isinstance(error, PluginError):
        return _report(error)
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return ExitCode.FAILED
    if isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
        _drop_output()
        return _report(PluginError(f"cannot write the output: {error.strerror}"))
    return _report(_unforeseen(error))


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Why a file accepts no more output."""


def _drop_output() -> None:
    """Print nothing more: else Python complains once more when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _unforeseen(error: Exception) -> PluginError:
    """A response that cannot be read: from a proxy in place of the API server, or because of our bug."""
    trace = error.__traceback__
    while (
        trace is not None
        and trace.tb_next is not None
        and "kubectl_pp" in trace.tb_next.tb_frame.f_code.co_filename
    ):
        trace = trace.tb_next
    frame = os.path.basename(trace.tb_frame.f_code.co_filename) if trace else "?"  # noqa: PTH119 -- pathlib is slow to load
    where = f"{frame}:{trace.tb_lineno if trace else 0}"
    return UnavailableError(
        f"cannot read a response of the cluster ({where}: {type(error).__name__}: {error})",
        "is a proxy in between? check --context; if there is none, please report this as a bug",
    )


def complete() -> int:
    """The program kubectl_complete-pp of the installed package."""
    return main([COMPLETE, *sys.argv[1:]])


def _run(words: list[str]) -> int:
    if words and words[0] == COMPLETE:
        from kubectl_pp import completing  # noqa: PLC0415 -- a command of its own

        return completing.complete(words[1:])
    _check_encoding(words)
    verb, rest = split(words)
    if verb is None or "-h" in rest or "--help" in rest:
        from kubectl_pp.help import page  # noqa: PLC0415 -- loaded for help only

        sys.stdout.write(page(verb, Screen().width))
        sys.stdout.flush()
        return ExitCode.OK
    options = parse(verb, rest)
    context = Context(options, Screen(options.color, ascii_only=options.ascii))
    try:
        code: int = import_module(f"kubectl_pp.verbs.{verb.name}").run(context)
        sys.stdout.flush()
        code = code or context.missed
    finally:
        context.close()
    return code


def split(words: list[str]) -> tuple[Verb | None, list[str]]:
    """The verb and the other words; flags that every verb takes may stand before it.

    Raises:
        UsageError: there is no such verb.
    """
    if words[:1] == ["--version"]:
        return BY_NAME["version"], words[1:]
    valued = {name for group in ALWAYS for flag in group.flags if flag.metavar for name in flag.names}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in valued else 1
    if at >= len(words):
        unknown = [w for w in words if w.startswith("-") and w not in ("-h", "--help")]
        if unknown:
            raise UsageError("no verb given", "kubectl pp --help")
        return None, []
    name = words[at]
    verb = BY_NAME.get(ALIASES.get(name, name))
    if verb is None:
        from kubectl_pp.usage import unknown_verb  # noqa: PLC0415 -- for mistakes only

        raise unknown_verb(name, [*BY_NAME, *ALIASES])
    return verb, [*words[:at], *words[at + 1 :]]


def parse(verb: Verb, words: list[str]) -> Namespace:
    """The options of a verb.

    Raises:
        UsageError: they are not of its form.
    """
    parser = _Parser(prog=f"kubectl pp {verb.name}", add_help=False, allow_abbrev=False, usage=SUPPRESS)
    for flag in verb.flags:
        _add(parser, flag)
    if verb.names is not Names.NONE:
        parser.add_argument("names", nargs=_NARGS[verb.names])
    try:
        options = parser.parse_intermixed_args(_plain(verb, words))
    except UsageError as error:
        from kubectl_pp.usage import explained  # noqa: PLC0415 -- for mistakes only

        raise explained(verb, words, error) from None
    options.verb = verb.name
    names = getattr(options, "names", None)
    if isinstance(names, list):
        options.names = [name.removeprefix(_HIDDEN) for name in names]
    elif names:
        options.names = names.removeprefix(_HIDDEN)
    for flag in (each for each in verb.flags if each.key in ("namespace", "operator_namespace")):
        check_namespace(getattr(options, flag.key), flag.long)
    if getattr(options, "namespace", None) and options.all_namespaces:
        raise UsageError("-n and -A are mutually exclusive", "leave one of them out")
    level = getattr(options, "v", None)
    if level is not None and not (level.isascii() and level.isdecimal()):
        raise UsageError(f"-v: {level!r} is not a whole number", "-v=6 logs the requests")
    _check_narrowing(verb, options)
    return options


_HIDDEN = "\0"
"""Before a name that begins with a dash. No argument of a program holds it."""
_ON = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_OFF = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""What kubectl takes as the value of a switch."""
_DRY_RUN = {"server": _ON, "client": _ON, "none": _OFF}


def _check_encoding(words: list[str]) -> None:
    """Text that is not UTF-8 cannot be part of a request.

    Raises:
        UsageError: a word is not.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"{word.encode(errors='replace').decode()!r} is not UTF-8", "check the locale"
            ) from None


def _plain(verb: Verb, words: list[str]) -> list[str]:
    """The words without what argparse cannot read: `--switch=true`, and `--` before names.

    Raises:
        UsageError: a switch has another value.
    """
    switches = {name: flag for flag in verb.flags if not flag.metavar for name in flag.names}
    found: list[str] = []
    for at, word in enumerate(words):
        if word == "--":
            return found + [f"{_HIDDEN}{name}" if name.startswith("-") else name for name in words[at + 1 :]]
        name, equals, value = word.partition("=")
        flag = switches.get(name)
        if flag is None or not equals:
            found.append(word)
            continue
        meant = _DRY_RUN.get(value) if flag.key == "dry_run" else None
        if value not in _ON | _OFF and meant is None:
            if flag.key == "dry_run":
                raise UsageError(f"{name}: {value!r} is not one of server, client and none", name)
            raise UsageError(f"{name}: {value!r} is neither true nor false", f"{name}, or leave it out")
        found = [each for each in found if each not in flag.names]
        if value in _ON or meant is _ON:
            found.append(name)
    return found


def _check_narrowing(verb: Verb, options: Namespace) -> None:
    """Refuse a choice that is empty: it would choose everything, where a variable of the shell is not set.

    An empty selector is none, as in kubectl, but for verbs that change something.
    """
    changes = any(flag.key == "dry_run" for flag in verb.flags)
    for flag in verb.flags:
        narrows = flag.key in NARROWING or (changes and flag.key in SELECTORS)
        if narrows and getattr(options, flag.key) == "":
            raise UsageError(
                f"{flag.long} is empty", "give it a value, or leave it out; is a variable not set?"
            )
    names = getattr(options, "names", None)
    if "" in (names if isinstance(names, list) else [names]):
        raise UsageError("a name is empty", "give the name or the upload id; is a variable not set?")


def _add(parser: ArgumentParser, flag: Flag) -> None:
    if not flag.metavar:
        parser.add_argument(*flag.names, action="store_true", dest=flag.key)
    elif flag.many:
        parser.add_argument(*flag.names, action="append", dest=flag.key)
    elif flag.optional:
        const = "true" if flag.choices else ""
        parser.add_argument(*flag.names, dest=flag.key, choices=flag.choices or None, nargs="?", const=const)
    else:
        parser.add_argument(*flag.names, dest=flag.key, choices=flag.choices or None, default=flag.default)


def _report(error: PluginError) -> int:
    sys.stdout.flush()
    screen = Screen()
    red = sys.stderr.isatty() and screen.color
    head = f"\x1b[{Color.BAD}merror:\x1b[0m" if red else "error:"
    said = safe(f"{error}\n" + (f"  try: {error.remedy}\n" if error.remedy else ""))
    sys.stderr.write(f"{head} {said}")
    return error.code
