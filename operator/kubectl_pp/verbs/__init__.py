"""One module per verb (or family of verbs), each with `run(context)`; loaded when used."""
