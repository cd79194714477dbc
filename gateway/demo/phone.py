"""`python -m gateway.demo.phone FOLDER …`: a phone to try wallets with, whose keys are in FOLDER.

`settings` prints what a gateway needs to trust it, for a shell to read; `apple_pay TOTAL` and
`google_pay` print a token, with a published test number in it.
"""

import shlex
import sys
from pathlib import Path

import orjson

from gateway.demo import wallets
from gateway.domain.clock import SystemClock

_USAGE = "Expected FOLDER settings, FOLDER apple_pay TOTAL or FOLDER google_pay"


def main(words: list[str]) -> int:
    """Prints what is asked for; 2 for words that ask for nothing."""
    match words:
        case [folder, "settings"]:
            environ = wallets.make(Path(folder)).environ
            for name, value in environ.items():
                print(f"export {name}={shlex.quote(value)}")
        case [folder, "apple_pay", total] if total.isascii() and total.isdigit():
            _show(folder, "apple_pay", int(total))
        case [folder, "google_pay"]:
            _show(folder, "google_pay", 0)
        case _:
            print(_USAGE, file=sys.stderr)
            return 2
    return 0


def _show(folder: str, method: str, total: int) -> None:
    token = wallets.make(Path(folder)).token(method, total, SystemClock().now())
    print(orjson.dumps(token).decode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
