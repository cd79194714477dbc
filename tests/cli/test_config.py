"""Settings: what is refused, that everything wrong is told at once, and who wins."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from gateway.config import ConfigRefused, Settings, environment, read


def _complaint(environ: dict[str, str], **given: str) -> str:
    with pytest.raises(ConfigRefused) as refused:
        read(environ, given)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_setting_has_its_variable_and_the_command_line_wins() -> None:
    environ = {"KOPECK_PORT": "9000", "KOPECK_WORKERS": "3", "KOPECK_DATA": "/srv/kopeck"}
    settings = read(environ, {"port": "0", "workers": None})
    assert (settings.port, settings.workers, settings.data) == (0, 3, Path("/srv/kopeck"))


def test_nothing_set_is_the_contracts_defaults() -> None:
    settings = read({}, {})
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8080, Path("var"))
    assert (settings.database_url, settings.redis_url) == (None, None)
    assert settings.timezone == "Asia/Barnaul"
    assert settings.body_bytes_max == 65_536


def test_a_worker_reads_the_same_settings_from_its_environment() -> None:
    settings = replace(read({}), port=1, database_url="postgresql://a/b", data=Path("/x y"))
    assert read(environment(settings)) == settings


def test_an_unknown_variable_is_refused_but_those_of_tests_and_of_others_are_not() -> None:
    assert _complaint({"KOPECK_PROT": "1"}) == "KOPECK_PROT is not a setting"
    read({"KOPECK_TEST_ANYTHING": "1", "PATH": "/bin", "kopeck_port": "x"})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read({"KOPECK_DATABASE_URL": "", "KOPECK_PORT": ""}) == read({})


def test_all_problems_are_told_at_once() -> None:
    line = _complaint(
        {"KOPECK_PROT": "1", "KOPECK_WORKERS": "many", "KOPECK_POOL_MIN": "50"}, port="65536"
    )
    for part in ("KOPECK_PROT", "KOPECK_WORKERS", "--port", "pool_min <= pool_max"):
        assert part in line


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("KOPECK_PORT", "-1"),
        ("KOPECK_PORT", "65536"),
        ("KOPECK_PORT", "80.0"),
        ("KOPECK_PORT", "0x50"),
        ("KOPECK_PORT", "８０８０"),
        ("KOPECK_PORT", " 8080"),
        ("KOPECK_PORT", "8080\n"),
        ("KOPECK_PORT", "1" * 5000),
        ("KOPECK_WORKERS", "0"),
        ("KOPECK_WORKERS", "65"),
        ("KOPECK_TIMEZONE", "Asia/Atlantis"),
        ("KOPECK_TIMEZONE", "../etc/passwd"),
        ("KOPECK_LOG_LEVEL", "loud"),
        ("KOPECK_DATABASE_URL", "mysql://h/d"),
        ("KOPECK_REDIS_URL", "localhost:6379"),
        ("KOPECK_REDIS_URL", "embed"),
        ("KOPECK_GOOGLE_PAY_RECIPIENT", "shop"),
    ],
)
def test_a_value_out_of_its_range_is_refused(variable: str, text: str) -> None:
    assert f"Expected {variable} to be" in _complaint({variable: text})


@pytest.mark.parametrize(
    ("environ", "rule"),
    [
        ({"KOPECK_QUEUE_MAX": "499"}, "group_size_max <= queue_max"),
        ({"KOPECK_UPLOAD_BYTES_MAX": "2048"}, "body_bytes_max <= upload_bytes_max"),
        ({"KOPECK_POOL_MAX": "1"}, "pool_min <= pool_max"),
        ({"KOPECK_LOCK_TIMEOUT_MS": "5001"}, "lock_timeout_ms <= statement_timeout_ms"),
        ({"KOPECK_COMMIT_DEADLINE_MS": "4999"}, "statement_timeout_ms <= commit_deadline_ms"),
        ({"KOPECK_DRAIN_S": "14"}, "body_timeout_s + commit_deadline_ms <= drain_s"),
        ({"KOPECK_WORKERS": "19"}, "workers * pool_max <= 180 without database_url"),
        ({"KOPECK_APPLE_PAY_KEY": "key.pem"}, "all three apple_pay settings, or none"),
        ({"KOPECK_GOOGLE_PAY_KEYS": "key.pem"}, "all three google_pay settings, or none"),
    ],
)
def test_limits_keep_their_relations(environ: dict[str, str], rule: str) -> None:
    assert _complaint(environ) == f"Expected {rule}"


def test_a_password_is_neither_shown_nor_complained_about() -> None:
    settings = read({"KOPECK_DATABASE_URL": "postgresql://kopeck:hunter2@db/kopeck"})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in _complaint({"KOPECK_DATABASE_URL": "mysql://kopeck:hunter2@db/x"})


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_every_field_is_read_by_something() -> None:
    assert all("parse" in one.metadata for one in fields(Settings))
