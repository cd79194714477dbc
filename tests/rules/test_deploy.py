"""What stands in deploy/ is taken by the programs that read it, and is as hardened as it says."""

import dataclasses
import datetime
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compose_spec
import helm_python
import kubernetes_validate
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.config import PREFIX, Settings
from gateway.storage.embedded import binary
from gateway.storage.server_user import command_prefix, server_user
from tests.rules.sources import ROOT, texts

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "kopeck"
KUBERNETES = ("1.29", "1.32", "1.36")
# Kinds of the Prometheus operator, which Kubernetes' own schemas do not know.
_FOREIGN = {"ServiceMonitor", "PrometheusRule"}
_KINDS = {
    *("ServiceAccount", "Job", "Deployment", "Service", "PodDisruptionBudget", "Pod"),
    *("HorizontalPodAutoscaler", "NetworkPolicy", "ConfigMap", *_FOREIGN),
}
# How exposed systemd may find a unit, of 100.
_EXPOSED_MAX = "25"


def run(program: str, *words: str, where: str, cwd: Path = ROOT) -> None:
    """Runs a program that looks at a file; says loudly where the program is not there."""
    beside = Path(sys.executable).with_name(program)
    found = str(beside) if beside.exists() else shutil.which(program)
    if found is None:
        pytest.skip(f"{where} WAS NOT CHECKED: no {program} on the PATH; .ci/run brings it")
    done = subprocess.run(
        [found, *words], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rendered(**values: Any) -> list[dict[str, Any]]:
    """The chart's manifests, as an install would send them."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(values=values, name="pay", namespace="money")
    made = (text for name, text in files.items() if name.endswith(".yaml"))
    return [one for text in made for one in yaml.safe_load_all(text) if one]


def pods(manifests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in manifests:
        if one["kind"] == "Pod":
            yield one["spec"]
        elif one["kind"] in ("Deployment", "Job"):
            yield one["spec"]["template"]["spec"]


def compose() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return made


def test_the_image_is_the_wheel_and_runs_as_nobody() -> None:
    # hadolint comes with the packages, wherever they have a wheel of it.
    run("hadolint", "deploy/Dockerfile", where="Dockerfile")
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["65532:65532"]
    last = lines[max(n for n, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert [line for line in last if line.startswith(("COPY", "ADD"))] == []
    assert any("/wheels/*.whl" in line for line in last)
    assert any("SPLITCORE_NATIVE=1" in line for line in lines)


def test_compose_is_of_its_form_and_gives_nothing_away() -> None:
    made = compose()
    # Anchors are resolved before, as Compose itself does.
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(made)).validate()
    services = made["services"]
    assert set(services) == {
        *("gateway-1", "gateway-2", "postgres", "valkey"),
        *("prometheus", "alertmanager", "grafana"),
    }
    for name, service in services.items():
        # PostgreSQL's image writes to its own root when it starts.
        assert service.get("read_only") or name == "postgres"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert ":latest" not in service["image"]
        assert ":" in service["image"]
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (
                (DEPLOY / source).exists()
                if source.startswith(".")
                else (source in made["volumes"])
            )
    secrets = re.findall(r"\$\{(\w*PASSWORD)([^}]*)\}", (DEPLOY / "compose.yaml").read_text())
    assert {rest for _, rest in secrets} == {":?needed"}


@pytest.mark.parametrize(
    "text",
    [
        "services: {a: {image: x, porst: ['1']}}",
        "services: {a: {image: x, networks: [nowhere]}}",
    ],
)
def test_compose_of_another_form_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        compose_spec.PyCompose.from_yaml(text).validate()


def test_every_variable_named_is_a_setting() -> None:
    known = {PREFIX + one.name.upper() for one in dataclasses.fields(Settings)}
    # Compose's own, which makes the URL.
    known |= {"KOPECK_DATABASE_PASSWORD", "KOPECK_"}
    for source in texts():
        if source.top == "deploy" and not source.path.endswith("values.schema.json"):
            assert set(re.findall(r"KOPECK_[A-Z_]*", source.text)) <= known, source.path


def test_the_chart_is_well_made() -> None:
    linted = helm_python.lint(CHART, strict=True)
    assert linted["errors"] == []
    assert [m for m in linted["messages"] if m["error"] != "icon is recommended"] == []


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"autoscaling": {"enabled": False}, "network": {"enabled": False}},
        {
            "settings": {"KOPECK_TIMEZONE": "Asia/Omsk"},
            "imagePullSecrets": [{"name": "r"}],
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "money", "operator": "Exists"}],
            "monitoring": {"labels": {"release": "prometheus"}},
        },
    ],
)
def test_kubernetes_takes_every_manifest(values: dict[str, Any]) -> None:
    manifests = rendered(**values)
    for manifest in manifests:
        if manifest["kind"] not in _FOREIGN:
            for version in KUBERNETES:
                kubernetes_validate.validate(manifest, version, strict=True)
    kinds = {one["kind"] for one in manifests}
    off = {"HorizontalPodAutoscaler", "NetworkPolicy"} if "autoscaling" in values else set()
    assert kinds == _KINDS - off


def test_a_manifest_with_a_misspelt_field_is_refused() -> None:
    service = next(one for one in rendered() if one["kind"] == "Service")
    service["spec"]["selektor"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 0},
        {"replikas": 2},
        {"settings": {"PORT": "1"}},
        {"settings": {"KOPECK_DATABASE_URL": "postgresql://secret"}},
        {"autoscaling": {"max": 1}},
        {"secret": ""},
    ],
    ids=str,
)
def test_the_chart_refuses_values_that_cannot_be_meant(values: dict[str, Any]) -> None:
    with helm_python.Chart.load(CHART) as chart, pytest.raises(helm_python.HelmError):
        chart.render(values=values, name="pay", namespace="money")


def test_every_pod_is_nobody_and_may_write_nowhere() -> None:
    found = list(pods(rendered()))
    assert len(found) == 3
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_the_chart_brings_the_alerts_and_dashboards() -> None:
    manifests = rendered()
    rule = next(one for one in manifests if one["kind"] == "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())
    boards = next(one for one in manifests if one["kind"] == "ConfigMap")
    assert set(boards["data"]) == {path.name for path in DEPLOY.glob("grafana/*.json")}


def test_prometheus_and_alertmanager_take_their_files() -> None:
    run("promtool", "check", "config", "prometheus.yaml", where="prometheus.yaml",
        cwd=DEPLOY / "prometheus")  # fmt: skip


def test_alertmanager_takes_its_file() -> None:
    run("amtool", "check-config", "deploy/prometheus/alertmanager.yaml", where="alertmanager.yaml")


def test_alertmanager_knows_only_alerts_that_are_there() -> None:
    named = re.findall(r'alertname="(\w+)"', (DEPLOY / "prometheus/alertmanager.yaml").read_text())
    rules = (DEPLOY / "prometheus/rules.yaml").read_text()
    assert named
    assert [name for name in named if f"- alert: {name}\n" not in rules] == []


def test_grafana_finds_what_it_is_told_of() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((folder / "dashboards/kopeck.yaml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert f"./grafana:{path}:ro" in compose()["services"]["grafana"]["volumes"]


def units(folder: Path) -> list[str]:
    """Copies of the units whose program is there, as systemd wants to see it."""
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text().replace("/opt/kopeck/bin/kopeck", "/bin/true")
        (folder / path.name).write_text(text)
    return sorted(f"./{path.name}" for path in folder.iterdir())


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    run("systemd-analyze", "verify", *units(tmp_path), where="systemd units", cwd=tmp_path)


def test_systemd_finds_the_services_hardly_exposed(tmp_path: Path) -> None:
    for unit in units(tmp_path):
        if unit.endswith(".service"):
            words = ("security", "--offline=true", f"--threshold={_EXPOSED_MAX}", unit)
            run("systemd-analyze", *words, where=unit, cwd=tmp_path)


def authority(folder: Path) -> None:
    """A certificate with its key that stands for every file of nginx' configuration."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pay.example")])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    revoked = x509.CertificateRevocationListBuilder(name, day, day).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    for file in ("server.pem", "callers-ca.pem"):
        (folder / file).write_bytes(made.public_bytes(pem))
    (folder / "callers-crl.pem").write_bytes(revoked.public_bytes(pem))
    plain = serialization.NoEncryption()
    content = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.key").write_bytes(content)


def test_nginx_takes_its_file(tmp_path: Path) -> None:
    authority(tmp_path)
    text = (DEPLOY / "nginx/kopeck.conf").read_text()
    text = text.replace("/etc/kopeck/tls", str(tmp_path)).replace("/var/log/nginx", str(tmp_path))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{places}{text}\n}}\n"
    )
    run("nginx", "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"),
        "-e", str(tmp_path / "error.log"), where="nginx/kopeck.conf")  # fmt: skip


def test_postgresql_takes_its_file(tmp_path: Path) -> None:
    settings = tmp_path / "kopeck.conf"
    # The wheel's server is built without lz4.
    text = (DEPLOY / "postgres/kopeck.conf").read_text().replace("lz4 ", "off ")
    settings.write_text(text)
    user = server_user()
    data = tmp_path / "pgdata"
    data.mkdir(mode=0o700)
    user.own(data)
    user.own(settings)
    words = [*command_prefix(user, (settings, binary("postgres"))), str(binary("postgres"))]
    words += ["-D", str(data), "-c", f"config_file={settings}", "-C", "max_wal_size"]
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "8192\n"), done.stderr
    settings.write_text(text + "fsink = on\n")
    assert subprocess.run(words, cwd="/", capture_output=True, check=False).returncode != 0
