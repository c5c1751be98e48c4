"""The step no-programs: looks at an upload before its file is released."""

from uploadpp.steps import Continue, Delete, Upload, Verdict, step


@step("no-programs", concurrency=8, timeout=600)
async def no_programs(upload: Upload) -> Verdict:
    """Delete programs of Linux; what begins like one is one."""
    async with upload.open() as content:
        if await content.read(4) == b"\x7fELF":
            return Delete("programs are not wanted here")
    return Continue()


if __name__ == "__main__":
    no_programs.run()
