"""The process behind `kopeck serve`: starts everything, restarts what dies, drains on SIGTERM.

It takes no payment itself, and nothing in it imports the HTTP application.
"""

from gateway.supervisor.serving import EXIT_REFUSED, serve

__all__ = ["EXIT_REFUSED", "serve"]
