"""Everything under deploy/ can be read, holds no secret, and names files that are there."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import DEPLOY, ROOT, documents

PARSED = sorted(path for path in DEPLOY.rglob("*") if path.suffix in {".yaml", ".json"})
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PARSED, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_file_can_be_read(path: Path) -> None:
    assert all(isinstance(each, dict) for each in documents(path))


def test_every_manifest_is_applied_but_the_secret(manifests: dict[str, Any]) -> None:
    folder = DEPLOY / "kubernetes"
    (kustomization,) = documents(folder / "kustomization.yaml")
    there = {path.name for path in folder.glob("*.yaml")}
    assert there - set(kustomization["resources"]) == {"kustomization.yaml", "secret.example.yaml"}
    assert set(kustomization["resources"]) <= there
    assert "Deployment/kindcache" in manifests


def test_no_secret_has_a_value() -> None:
    (secret,) = documents(DEPLOY / "kubernetes" / "secret.example.yaml")
    assert set(secret["stringData"].values()) == {""}
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    filled = re.findall(r"^(\w+)=(.+)$", example, re.MULTILINE)
    assert [name for name, _ in filled] == ["KINDCACHE_UPSTREAM"]
    for path in (file for file in DEPLOY.rglob("*") if file.is_file()):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"[0-9a-f]{32}|(?<![\w-])sk-[A-Za-z0-9]{16}", text), path


def test_compose_wants_each_variable_that_the_example_names(compose: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{(\w+)", yaml.safe_dump(compose)))
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    assert used == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_what_compose_mounts_is_there(compose: dict[str, Any]) -> None:
    mounted = [
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service["volumes"]
    ]
    for source in mounted:
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
        else:
            assert source in compose["volumes"]


def test_what_the_image_is_made_of_is_sent_to_the_builder() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    wanted = {name for line in copied for name in line.split()}
    assert wanted == sent
    assert all((ROOT / name).exists() for name in wanted)


def test_the_last_stage_has_neither_compiler_nor_root() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "apt-get" not in last
    assert "[model]" not in last
    assert "\nUSER 10001:10001\n" in last
    assert {"/opt/kindcache", "/opt/models"} == set(
        re.findall(r"^COPY --from=\w+ (\S+) ", last, re.MULTILINE)
    )


def test_the_dashboard_is_where_grafana_looks(compose: dict[str, Any]) -> None:
    (provider,) = documents(DEPLOY / "grafana/provisioning/dashboards/kindcache.yaml")
    folder = provider["providers"][0]["options"]["path"]
    targets = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert folder in targets
    (source,) = documents(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")
    named = {
        target["datasource"]["uid"]
        for path in (DEPLOY / "grafana/dashboards").glob("*.json")
        for board in documents(path)
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }
    assert named == {source["datasources"][0]["uid"]}


def test_ignored_files_keep_the_filled_in_ones_out() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert any(fnmatch.fnmatch("/deploy/.env", pattern) for pattern in ignored)
