"""`uploadpp step NAME`: a step without a line of Python."""

import argparse
import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from uploadpp.process.configuration import ConfigurationError, add_flags, flag_of, is_utf8, read_model
from uploadpp.steps.answer import VIRUSSCAN
from uploadpp.steps.command import Command, CommandOptions
from uploadpp.steps.decorator import CONCURRENCY, TIMEOUT_SECONDS, Step
from uploadpp.steps.judge import Work
from uploadpp.steps.policies import Policies, PoliciesOptions
from uploadpp.steps.program import add_service_flags, run
from uploadpp.steps.trial import EPILOG as TRIAL_EPILOG
from uploadpp.steps.virusscan import Virusscan, VirusscanOptions

NAME_VARIABLE = "UPLOADPP_STEP_NAME"
EPILOG = """\
a step of your own, in Python: uploadpp step new NAME [DIR]

examples:
  uploadpp step virusscan --clamd unix:/run/clamav/clamd.ctl --max-scan-size 100MB
  uploadpp step virusscan --exec 'clamdscan --fdpass -' --exit 1=delete
  uploadpp step policies --rule 'delete extension=exe,bat' --rule 'delete mime=application/x-executable'
  uploadpp step thumbnails --exec 'convert {path} png:/out/thumb.png' --exit 1=continue
  uploadpp step policies --rules-file rules.yaml --try *.pdf --uploader mary@example.org

"""
_MODES: dict[str, type[BaseModel]] = {
    "--exec": CommandOptions,
    "--clamd": VirusscanOptions,
    "--rule or --rules-file": PoliciesOptions,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `uploadpp step`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG + TRIAL_EPILOG
    parser.add_argument("name", nargs="?", help=f"name of the step [{NAME_VARIABLE}]")
    add_flags(parser.add_argument_group("any command as a step"), CommandOptions)
    add_flags(parser.add_argument_group("a virus scan with clamd"), VirusscanOptions)
    add_flags(parser.add_argument_group("rules about names, contents, sizes and users"), PoliciesOptions)
    add_service_flags(parser)


def run_step(flags: Mapping[str, Any]) -> int:
    """Serve the step that the arguments describe.

    Raises:
        ConfigurationError: they describe none, or more than one.
    """
    name = _name(flags)
    if not name:
        raise ConfigurationError(f"no step name given; set it as an argument or in {NAME_VARIABLE}")
    try:
        step = Step(name, _work(flags), CONCURRENCY, TIMEOUT_SECONDS)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return run(step, flags)


def _name(flags: Mapping[str, Any]) -> str:
    """The name of the step; empty when none is given.

    Raises:
        ConfigurationError: it is not UTF-8, so that no message could contain it.
    """
    given = flags.get("name")
    name = given or os.environ.get(NAME_VARIABLE, "").strip()
    if not is_utf8(name):
        raise ConfigurationError(f"{'the name of the step' if given else NAME_VARIABLE}: is not UTF-8")
    return str(name)


def _work(flags: Mapping[str, Any]) -> Work:
    command = read_model(CommandOptions, flags)
    virusscan = read_model(VirusscanOptions, flags)
    policies = read_model(PoliciesOptions, flags)
    given = {"--exec": command.exec, "--clamd": virusscan.clamd, "--rule or --rules-file": policies.given}
    chosen = [flag for flag, value in given.items() if value]
    if len(chosen) != 1:
        what = (
            f"only one of {' and '.join(chosen)} can be used"
            if chosen
            else f"one of {', '.join(given)} is required"
        )
        raise ConfigurationError(f"what the step does: {what}")
    _check_given(flags, chosen[0])
    if command.exit_unscanned and _name(flags) != VIRUSSCAN:
        raise ConfigurationError(f"--exit-unscanned applies only to a step named {VIRUSSCAN}; omit it")
    if command.exec:
        return Command(command).check
    if virusscan.clamd is not None:
        return Virusscan(virusscan.clamd, virusscan).check
    return Policies(policies.rules()).check


def _check_given(flags: Mapping[str, Any], chosen: str) -> None:
    """Refuse flags of another kind of step: they would have no effect."""
    for mode, model in _MODES.items():
        for name in model.model_fields:
            if mode != chosen and flags.get(name):
                raise ConfigurationError(f"{flag_of(name)} applies only to {mode}, not to {chosen}; omit it")
