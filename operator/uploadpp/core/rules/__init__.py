"""One file per kind of input; `core.machine` holds the tables that name these rules.

A rule is a function (upload, input, now, config) -> Decision.
"""
