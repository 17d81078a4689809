"""Ports, paths, options and variables of the deployment are those of the code."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.cli import main
from kindcache.adapters.commands.server import UPSTREAM_VARIABLE, ServeOptions
from kindcache.adapters.middleware import CONFIG_VARIABLE
from kindcache.adapters.proxy import PROBES
from kindcache.adapters.secret import VARIABLE
from kindcache.config.load import load
from kindcache.config.service_settings import HttpSettings
from tests.conftest import RedisServer
from tests.deploy.conftest import DEPLOY, documents

PORT = str(ServeOptions().port)
POLICY = DEPLOY / "policies.yaml"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture
def pod(manifests: dict[str, Any]) -> dict[str, Any]:
    found = manifests["Deployment/kindcache"]["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod["containers"]
    assert isinstance(found, dict)
    return found


def told(found: str) -> list[str]:
    """The words of an instruction of the Dockerfile in JSON form."""
    (text,) = re.findall(rf"^{found} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    words = json.loads(text)
    assert isinstance(words, list)
    return words


def test_each_start_is_one_that_the_command_understands(
    compose: dict[str, Any], container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ServeOptions] = []

    def serve(options: ServeOptions, _started_s: float) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr("kindcache.adapters.commands.serve.serve", serve)
    starts = [told("CMD"), compose["services"]["kindcache"]["command"], container["args"]]
    assert [main(words) for words in starts] == [0, 0, 0]
    assert {(options.host, str(options.port)) for options in asked} == {("0.0.0.0", PORT)}
    assert [options.config for options in asked] == [
        None,
        *[Path("/etc/kindcache/policies.yaml")] * 2,
    ]


def test_the_policy_lies_where_it_is_read(
    compose: dict[str, Any], container: dict[str, Any], pod: dict[str, Any]
) -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert mounts["policies"] == "/etc/kindcache"
    assert volumes["policies"]["configMap"]["name"] == "kindcache"
    assert set(mounts) == set(volumes)
    of_compose = compose["services"]["kindcache"]["volumes"]
    assert "./policies.yaml:/etc/kindcache/policies.yaml:ro" in of_compose


def test_the_port_is_the_same_everywhere(
    compose: dict[str, Any], container: dict[str, Any], manifests: dict[str, Any]
) -> None:
    assert f"\nEXPOSE {PORT}\n" in DOCKERFILE
    assert compose["services"]["kindcache"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert container["ports"] == [{"name": "http", "containerPort": int(PORT)}]
    (port,) = manifests["Service/kindcache"]["spec"]["ports"]
    assert port["targetPort"] == "http"
    annotations = manifests["Deployment/kindcache"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == PORT
    assert annotations["prometheus.io/path"] in PROBES
    (scraped,) = documents(DEPLOY / "prometheus/prometheus.yaml")[0]["scrape_configs"]
    assert scraped["metrics_path"] in PROBES
    (names,) = scraped["dns_sd_configs"]
    assert names["port"] == int(PORT)
    assert set(names["names"]) <= set(compose["services"])


def test_probes_ask_for_paths_that_there_are(container: dict[str, Any]) -> None:
    asked = {
        name: container[name]["httpGet"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert {probe["path"] for probe in asked.values()} <= PROBES
    assert {probe["port"] for probe in asked.values()} == {"http"}
    # A store that is away must not restart a process whose memory still answers.
    assert asked["livenessProbe"]["path"] == "/healthz"
    (checked,) = re.findall(rf"http://127\.0\.0\.1:{PORT}(/\w+)'", DOCKERFILE)
    assert checked in PROBES


def test_variables_are_those_that_are_read(compose: dict[str, Any], pod: dict[str, Any]) -> None:
    assert pod["enableServiceLinks"] is False  # it would add KINDCACHE_PORT and others
    known = {VARIABLE, UPSTREAM_VARIABLE, CONFIG_VARIABLE, HttpSettings().admin_token_env}
    for path in (file for file in DEPLOY.rglob("*") if file.is_file()):
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"KINDCACHE_[A-Z_]+", text)) <= known, path
    assert set(compose["services"]["kindcache"]["environment"]) <= known
    (secret,) = documents(DEPLOY / "kubernetes/secret.example.yaml")
    assert set(secret["stringData"]) == {VARIABLE, HttpSettings().admin_token_env}


def test_the_policy_is_valid_and_the_same_in_both(
    manifests: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(POLICY)]) == 0
    assert capsys.readouterr().out.endswith("valid\n")
    text = manifests["ConfigMap/kindcache"]["data"]["policies.yaml"]
    assert text == POLICY.read_text(encoding="utf-8")


def test_the_store_is_the_redis_beside(compose: dict[str, Any], manifests: dict[str, Any]) -> None:
    assert load(POLICY).store.url == "redis://redis:6379/0"
    assert "redis" in compose["services"]
    (port,) = manifests["Service/redis"]["spec"]["ports"]
    assert port["port"] == 6379


def test_all_of_kubernetes_speaks_of_the_same_pods(manifests: dict[str, Any]) -> None:
    labels = manifests["Deployment/kindcache"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Deployment/kindcache"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service/kindcache"]["spec"]["selector"] == labels
    assert manifests["PodDisruptionBudget/kindcache"]["spec"]["selector"]["matchLabels"] == labels
    scaled = manifests["HorizontalPodAutoscaler/kindcache"]["spec"]["scaleTargetRef"]
    assert f"{scaled['kind']}/{scaled['name']}" in manifests
    allowed = manifests["NetworkPolicy/kindcache-redis"]["spec"]["ingress"][0]["from"]
    assert allowed == [{"podSelector": {"matchLabels": labels}}]
    store = manifests["StatefulSet/redis"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Service/redis"]["spec"]["selector"] == store


def test_who_runs_is_who_the_image_says(pod: dict[str, Any], container: dict[str, Any]) -> None:
    user, group = pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]
    assert f"USER {user}:{group}\n" in DOCKERFILE
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_redis_starts_with_the_settings_that_are_given_to_it(
    compose: dict[str, Any], manifests: dict[str, Any], tmp_path: Path
) -> None:
    command = compose["services"]["redis"]["command"]
    (container,) = manifests["StatefulSet/redis"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == command
    server = RedisServer(tmp_path)
    pairs = zip(command[1::2], command[2::2], strict=True)
    server.options = {name.removeprefix("--"): value for name, value in pairs}
    server.start()
    server.stop()


def test_a_redis_that_answers_with_an_error_is_not_ready(
    compose: dict[str, Any], manifests: dict[str, Any], tmp_path: Path
) -> None:
    """As one does that still loads; this one wants a password."""
    (container,) = manifests["StatefulSet/redis"]["spec"]["template"]["spec"]["containers"]
    (cli, *words) = container["readinessProbe"]["exec"]["command"]
    assert compose["services"]["redis"]["healthcheck"]["test"] == ["CMD", cli, *words]
    server = RedisServer(tmp_path)
    server.start()
    try:
        probe = [cli, "-u", server.url, *words]
        assert subprocess.run(probe, check=False, capture_output=True).returncode == 0
        subprocess.run([cli, "-u", server.url, "config", "set", "requirepass", "x"], check=True)
        assert subprocess.run(probe, check=False, capture_output=True).returncode != 0
    finally:
        server.stop()
