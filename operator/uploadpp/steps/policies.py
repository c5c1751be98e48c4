"""The ready-made step `policies`: rules about name, extension, content, size and user."""

from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from uploadpp.core.states import Outcome
from uploadpp.core.text import clean_lines
from uploadpp.process.configuration import ConfigurationError
from uploadpp.process.setting_fields import env
from uploadpp.process.setting_types import File
from uploadpp.steps.markup import Guess
from uploadpp.steps.mime import guess
from uploadpp.steps.rules import Final, RuleError, Rules, parse_rule, read_rules
from uploadpp.steps.upload import Upload
from uploadpp.steps.verdict import BY_OUTCOME, Abort, Verdict


def _lines(value: object) -> object:
    return [line.strip() for line in value.splitlines() if line.strip()] if isinstance(value, str) else value


MAX_SAID = 20
"""Maximum number of lines about invalid rules."""


class PoliciesOptions(BaseModel):
    """Where the rules are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Annotated[tuple[str, ...], BeforeValidator(_lines)] = env(
        "UPLOADPP_STEP_RULES",
        repeat=True,
        default=(),
        description="A rule such as 'delete extension=exe,bat'; the first that matches counts. Conditions: "
        "name, extension, mime, user, larger-than, smaller-than. One per line in the variable.",
    )
    rules_file: File = env(
        "UPLOADPP_STEP_RULES_FILE",
        default=None,
        description="YAML or JSON file with a list `rules`. Rules given as flags are tried first.",
    )
    default: Final | None = env(
        "UPLOADPP_STEP_DEFAULT",
        default=None,
        description="Outcome of an upload that no rule matches. Default: what the file sets, else continue.",
    )

    @property
    def given(self) -> bool:
        """Whether there is any rule."""
        return bool(self.rule or self.rules_file)

    def rules(self) -> Rules:
        """All rules.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        source = "--rule or UPLOADPP_STEP_RULES"
        try:
            own = tuple(parse_rule(each) for each in self.rule)
            source = "--rules-file or UPLOADPP_STEP_RULES_FILE"
            file = read_rules(self.rules_file) if self.rules_file else Rules()
        except RuleError as error:
            raise ConfigurationError(f"{source}: {clean_lines(str(error), MAX_SAID)}") from None
        return Rules(rules=own + file.rules, default=self.default or file.default)


async def _counted(upload: Upload, most: int) -> int:
    """How many bytes a file has; not all of them are read of one that has more than `most`."""
    seen = 0
    async with upload.open() as content:
        async for chunk in content:
            seen += len(chunk)
            if seen > most:
                break
    return seen


class Policies:
    """Applies rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def check(self, upload: Upload) -> Verdict:
        """The verdict of the first rule that matches. Bytes are read only if a rule asks for them."""
        if not upload.size and self._rules.sizes:  # empty, or not announced
            upload = replace(upload, size=await _counted(upload, max(self._rules.sizes)))
        found = Guess("", sure=True)
        if self._rules.need_content:
            async with upload.open() as content:
                found = await guess(content)
        for rule in self._rules.rules:
            if rule.matches(upload, found.mime, sure=found.sure):
                return BY_OUTCOME[rule.outcome]("" if rule.outcome is Outcome.CONTINUE else rule.text)
        default = self._rules.default
        if default is Outcome.CONTINUE:
            return BY_OUTCOME[default]("")
        if default is Outcome.DELETE and not found.sure:
            return Abort("no rule allows it, and its content is not known: the bytes are kept")
        return BY_OUTCOME[default]("no rule allows it")
