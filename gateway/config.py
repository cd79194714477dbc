class StartRefused(Exception):
    """The program cannot start as asked; the message is one line for whoever started it."""
