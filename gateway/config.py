"""Settings: read once from the environment and the command line into one frozen object.

Every limit has a name and a unit here, and the limits' relations are checked before anything
starts. An unknown KOPECK_ variable is refused: a misspelt one would be obeyed by nobody.
"""

# ruff: noqa: RUF009  (_setting returns dataclasses.field, which the rule cannot see)

import os
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PREFIX = "KOPECK_"
# Read by tests and by the switches that only tests may throw; never a setting.
TEST_PREFIX = "KOPECK_TEST_"

# In place of a Redis's URL: a server of our own.
EMBEDDED = "embedded"

# What the embedded server accepts, less what commands and the supervisor need for themselves.
EMBEDDED_CONNECTIONS_MAX = 180

_INTEGER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_TIME_OF_DAY = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00", re.ASCII)


class StartRefused(Exception):
    """The program cannot start as asked; the message is one line for whoever started it."""


class ConfigRefused(StartRefused):
    """The settings are wrong; the message names every problem, not only the first."""


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number {least}..{most}")
        return int(text)

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError("one of " + ", ".join(words))
        return text

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if urlsplit(text).scheme not in schemes:
            raise ValueError("a URL that begins with " + " or ".join(f"{s}:" for s in schemes))
        return text

    return parse


def _redis(text: str) -> str:
    if text == EMBEDDED:
        return text
    try:
        return _url("redis", "rediss", "unix")(text)
    except ValueError as expected:
        raise ValueError(f"{EMBEDDED}, or {expected}") from None


def _time_zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("a time zone such as Asia/Barnaul") from None
    return text


def _time_of_day(text: str) -> str:
    if not _TIME_OF_DAY.fullmatch(text) or text == "00:00":
        raise ValueError("a time 00:01..24:00")
    return text


def _file_or_https(text: str) -> str:
    if "://" in text and not text.lower().startswith("https://"):
        raise ValueError("a file or a URL that begins with https://")
    return text


def _google_recipient(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind not in ("merchant", "gateway") or not name:
        raise ValueError("merchant:… or gateway:…")
    return text


def _digits(count: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if len(text) != count or not text.isascii() or not text.isdigit():
            raise ValueError(f"{count} digits")
        return text

    return parse


def _ports(text: str) -> str:
    parse = _whole(1, 65_535)
    try:
        return ",".join(str(parse(port)) for port in text.split(","))
    except ValueError:
        raise ValueError("ports such as 443,8443") from None


def _setting(parse: Callable[[str], Any], default: Any, *, secret: bool = False) -> Any:
    """A field read by `parse`, which raises ValueError with what it expects.

    A secret stays out of the object's repr and out of complaints.
    """
    return field(default=default, repr=not secret, metadata={"parse": parse, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that can be set; KOPECK_ and the field's name in capitals is its variable."""

    host: str = _setting(str, "127.0.0.1")
    port: int = _setting(_whole(0, 65535), 8080)  # 0: any free one
    workers: int = _setting(_whole(1, 64), min(8, len(os.sched_getaffinity(0))))
    data: Path = _setting(Path, Path("var"))
    # How much of the log of a PostgreSQL of our own is laid out at the start, before payers need
    # it; 0: nothing. A rush may fill 8 GB of it.
    log_ahead_mb: int = _setting(_whole(0, 2_048), 2_048)
    database_url: str | None = _setting(_url("postgresql", "postgres"), None, secret=True)
    # Where workers and replicas share limits; `embedded`: a server of our own for one machine's.
    redis_url: str | None = _setting(_redis, None, secret=True)
    # Business dates, cut-offs and periods are the region's; stored times are UTC.
    timezone: str = _setting(_time_zone, "Asia/Barnaul")
    # When a business day ends by that zone's clock; days of a centre's own beside the published
    # calendar; and whether batches close by themselves at the cut-off before a working day.
    cut_off: str = _setting(_time_of_day, "24:00")
    working_calendar: Path | None = _setting(Path, None)
    close_at_cut_off: str = _setting(_one_of("no", "yes"), "no")
    log_level: str = _setting(_one_of("debug", "info", "warning", "error"), "info")
    # Where spans are sent (OTLP over HTTP, such as http://collector:4318/v1/traces), and of how
    # many traces in a million; without it there are none.
    traces_url: str | None = _setting(_url("http", "https"), None, secret=True)
    traces_share: int = _setting(_whole(0, 1_000_000), 1_000_000)

    # A commit group waits at most `linger_ms` for as many as the group before it had. What waits
    # for a group is bounded by `queue_max`; beyond it payments are refused before any work.
    group_size_max: int = _setting(_whole(1, 10_000), 500)
    linger_ms: int = _setting(_whole(0, 1_000), 2)
    queue_max: int = _setting(_whole(1, 1_000_000), 4_000)
    # Groups in commit at once where streams fill them, and how long a commit gone unknown is looked
    # for by its keys.
    commit_lanes: int = _setting(_whole(1, 16), 4)
    commit_deadline_ms: int = _setting(_whole(100, 300_000), 10_000)

    # One payment's body, one line of a bulk body, and a whole uploaded report or bill load.
    body_bytes_max: int = _setting(_whole(1_024, 1_048_576), 65_536)
    upload_bytes_max: int = _setting(_whole(1_024, 1_073_741_824), 67_108_864)
    # A load of bills, a bill a line, which is put aside on disk before it is begun.
    stream_bytes_max: int = _setting(_whole(1_024, 1_099_511_627_776), 4_294_967_296)
    # A picture with codes in it: its bytes, and its pixels before any is decoded (a phone's 12 MP).
    image_bytes_max: int = _setting(_whole(1_024, 67_108_864), 8_388_608)
    image_pixels_max: int = _setting(_whole(1_024, 67_108_864), 12_582_912)
    body_timeout_s: int = _setting(_whole(1, 300), 5)
    keepalive_s: int = _setting(_whole(1, 3_600), 20)
    # Connections of one worker; one more is closed at once.
    connections_max: int = _setting(_whole(1, 100_000), 4_096)
    # Requests a second of one caller over all workers; 0: no limit.
    rate_limit_per_s: int = _setting(_whole(0, 1_000_000), 0)
    # From SIGTERM to the last answer; after it a worker is killed.
    drain_s: int = _setting(_whole(1, 600), 25)

    # Connections of one worker, and how long a caller waits for a free one.
    pool_min: int = _setting(_whole(1, 100), 2)
    pool_max: int = _setting(_whole(1, 100), 10)
    pool_wait_ms: int = _setting(_whole(1, 60_000), 2_000)
    lock_timeout_ms: int = _setting(_whole(1, 60_000), 2_000)
    statement_timeout_ms: int = _setting(_whole(1, 600_000), 5_000)
    idle_in_transaction_ms: int = _setting(_whole(1, 600_000), 5_000)
    # 0 for a pooler in front of PostgreSQL that does not know prepared statements.
    statement_cache_size: int = _setting(_whole(0, 10_000), 256)

    # The acquirers that are asked to take payments, a TOML table each; without it nobody is.
    acquirers: Path | None = _setting(Path, None)

    # What banks and agents may pay by the biller protocols, in kopecks; what becomes of what they
    # pay to an account without a bill; and after how many months without a new bill an account is
    # inactive to them (0: never).
    biller_amount_min: int = _setting(_whole(1, 9_999_999_999), 1)
    biller_amount_max: int = _setting(_whole(1, 9_999_999_999), 9_999_999_999)
    biller_unknown_account: str = _setting(_one_of("refuse", "suspense"), "refuse")
    biller_inactive_months: int = _setting(_whole(0, 1_200), 0)

    # Ports of https that webhooks may go to; whether they may go to this machine, also by http, for
    # tests and demos; how long one attempt may take; and the file of the key (base64 of 32 bytes)
    # that their secrets are sealed with, without which they are stored as they are.
    webhook_ports: str = _setting(_ports, "443")
    webhook_loopback: str = _setting(_one_of("refuse", "allow"), "refuse")
    webhook_timeout_s: int = _setting(_whole(1, 30), 15)
    webhook_key: Path | None = _setting(Path, None)

    # Descriptors of acquirers' files beside those of the product, a TOML file each.
    report_layouts: Path | None = _setting(Path, None)
    # Templates of linear barcodes before those of the product, a TOML file each.
    barcode_templates: Path | None = _setting(Path, None)

    # No batch pays more than this, whoever approves it. One that pays so many times what the
    # greatest of the last ones paid, and above so much, is approved by a named override alone; so
    # is an order that is such a jump for its recipient, once so many are known; the first to a
    # recipient above so much; and one above so much to another account than was paid last.
    batch_payout_max_roubles: int = _setting(_whole(1, 9_999_999_999), 9_999_999_999)
    payout_jump_times: int = _setting(_whole(2, 1_000), 10)
    payout_jump_after: int = _setting(_whole(1, 30), 3)
    payout_jump_from_roubles: int = _setting(_whole(0, 9_999_999_999), 10_000_000)
    payout_order_jump_from_roubles: int = _setting(_whole(0, 9_999_999_999), 3_000_000)
    payout_first_from_roubles: int = _setting(_whole(0, 9_999_999_999), 10_000_000)
    payout_changed_from_roubles: int = _setting(_whole(0, 9_999_999_999), 100_000)
    # The VAT that the centre's commission has in it, as acts say it; 0: it is not subject to any.
    commission_vat_percent: int = _setting(_whole(0, 30), 0)
    # Where gateways remember which batches were approved and sent, to notice a database that was
    # put back; best on another disk than it. Beside a database of our own: data/witness.
    witness: Path | None = _setting(Path, None)
    # Whether a batch is approved only once the money of all its payments has come.
    hold_payouts_until_arrived: str = _setting(_one_of("no", "yes"), "no")
    # The version of pain.001 that the bank takes; who signs and receives electronic messages
    # (УИС), without which the payer's BIC tells the author.
    pain_version: str = _setting(_one_of("pain.001.001.09", "pain.001.001.06"), "pain.001.001.09")
    ed_author: str | None = _setting(_digits(10), None)
    ed_receiver: str | None = _setting(_digits(10), None)

    apple_pay_certificate: Path | None = _setting(Path, None)
    apple_pay_key: Path | None = _setting(Path, None)
    apple_pay_root: Path | None = _setting(Path, None)
    google_pay_recipient: str | None = _setting(_google_recipient, None)
    google_pay_keys: Path | None = _setting(Path, None)
    google_pay_root_keys: str | None = _setting(_file_or_https, None)


def read(
    environ: Mapping[str, str] = os.environ,
    given: Mapping[str, str | None] | None = None,
) -> Settings:
    """Settings from `environ`, over which what was `given` on the command line wins.

    `given` is field name → text, None where the option was not used. An empty variable counts as
    not set. Raises ConfigRefused with all problems in one line.
    """
    known = {PREFIX + one.name.upper(): one for one in fields(Settings)}
    problems = [
        f"{name} is not a setting"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known and not name.startswith(TEST_PREFIX)
    ]
    options = {name: text for name, text in (given or {}).items() if text is not None}
    values: dict[str, Any] = {}
    for variable, one in known.items():
        from_option = one.name in options
        text = options[one.name] if from_option else environ.get(variable, "")
        if not text and not from_option:
            continue
        try:
            values[one.name] = one.metadata["parse"](text)
        except ValueError as expected:
            name = option_name(one.name) if from_option else variable
            problems.append(_complaint(one, name, str(expected), text))
    settings = Settings(**values)
    problems += _relations(settings)
    if problems:
        raise ConfigRefused("; ".join(problems))
    return settings


def option_name(name: str) -> str:
    """How the command line spells the field `name`."""
    return {"database_url": "--database", "redis_url": "--redis"}.get(name, f"--{name}")


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make `read` return the same settings again, for a process we start."""
    return {
        PREFIX + one.name.upper(): str(value)
        for one in fields(Settings)
        if (value := getattr(settings, one.name)) is not None
    }


def _complaint(one: "Field[Any]", name: str, expected: str, text: str) -> str:
    was = "another" if one.metadata["secret"] else repr(text)
    return f"Expected {name} to be {expected}, was {was}"


def _relations(settings: Settings) -> list[str]:
    """What two or more limits owe each other; each line is a problem."""
    s = settings
    connections = s.workers * s.pool_max
    apple = (s.apple_pay_certificate, s.apple_pay_key, s.apple_pay_root)
    google = (s.google_pay_recipient, s.google_pay_keys, s.google_pay_root_keys)
    rules = (
        (s.group_size_max <= s.queue_max, "group_size_max <= queue_max"),
        (s.body_bytes_max <= s.upload_bytes_max, "body_bytes_max <= upload_bytes_max"),
        (s.pool_min <= s.pool_max, "pool_min <= pool_max"),
        (
            s.biller_amount_min <= s.biller_amount_max,
            "biller_amount_min <= biller_amount_max",
        ),
        (s.lock_timeout_ms <= s.statement_timeout_ms, "lock_timeout_ms <= statement_timeout_ms"),
        (
            s.statement_timeout_ms <= s.commit_deadline_ms,
            "statement_timeout_ms <= commit_deadline_ms",
        ),
        (s.linger_ms <= s.pool_wait_ms, "linger_ms <= pool_wait_ms"),
        # A request that came just before SIGTERM must be able to end.
        (
            s.body_timeout_s * 1000 + s.commit_deadline_ms <= s.drain_s * 1000,
            "body_timeout_s + commit_deadline_ms <= drain_s",
        ),
        (
            s.database_url is not None or connections <= EMBEDDED_CONNECTIONS_MAX,
            f"workers * pool_max <= {EMBEDDED_CONNECTIONS_MAX} without database_url",
        ),
        (all(apple) or not any(apple), "all three apple_pay settings, or none"),
        (all(google) or not any(google), "all three google_pay settings, or none"),
    )
    return [f"Expected {rule}" for holds, rule in rules if not holds]
