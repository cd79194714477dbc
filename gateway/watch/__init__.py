"""How long what waits has waited, and how the machine beneath is; for dashboards and alerts.

It only reads, and little each time. It moves no money and takes no decision about any.
"""

from gateway.watch.standing import Standing, Watch

__all__ = ["Standing", "Watch"]
