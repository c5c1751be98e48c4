"""One file per kind of input; `core.machine` holds the tables that name these rules.

A rule is a function (upload, input, now, config) -> Decision. `now` and `config` are two arguments on
purpose: `now` changes with each input and `config` never does, and a transition such as `finish` that takes
`now` alone shows that no setting decides about it.
"""
