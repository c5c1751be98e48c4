"""Names of hosts, as Python asks the system for them."""


def is_encodable(name: str) -> bool:
    """Whether Python can look for a host of this name; for others it ends in an error of its encoder.

    A part between two dots must not be empty, and not be longer than 63 characters.
    """
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True
