"""Fuzzes one target in this process: `python -m tests.fuzz.drive TARGET` and flags of libFuzzer."""

import sys

import atheris

WATCHED = ["uploadpp", "kubectl_pp"]


def main() -> None:
    """Fuzz until a flag says that it is enough, or something is found."""
    program, name, *flags = sys.argv
    with atheris.instrument_imports(include=WATCHED):
        from tests.fuzz.target import load  # noqa: PLC0415 -- the modules of the target are watched

        target = load(name)
    from tests.fuzz.mutation import mutate  # noqa: PLC0415 -- after what is watched

    more = {}
    if target.is_json:
        more["custom_mutator"] = lambda data, most, seed: mutate(data, most, seed, atheris.Mutate)
    atheris.Setup([program, f"-max_len={target.longest}", *flags], target.check, **more)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
