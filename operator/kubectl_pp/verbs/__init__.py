"""One module for each verb, named after it, with `run(context)`; loaded when used."""
