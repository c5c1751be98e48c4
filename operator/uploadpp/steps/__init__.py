"""The kit for people who write a step of their own; see docs/steps.md.

@step("no-programs")
async def no_programs(upload: Upload) -> Verdict: ...
"""

from uploadpp.steps.decorator import Step, step
from uploadpp.steps.upload import Content, DownloadError, Upload, User
from uploadpp.steps.verdict import Abort, Continue, Delete, Retry, Verdict, VirusscanResult

__all__ = [
    "Abort",
    "Content",
    "Continue",
    "Delete",
    "DownloadError",
    "Retry",
    "Step",
    "Upload",
    "User",
    "Verdict",
    "VirusscanResult",
    "step",
]
