"""What is looked at before the first worker is started."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kindcache.adapters.cli import main
from kindcache.adapters.workers.listening import listen
from kindcache.adapters.workers.parent import environment, runtime_folder
from kindcache.adapters.workers.place import Place
from kindcache.adapters.workers.worker import own_part
from kindcache.cache.errors import StartupError
from kindcache.config.load import loads


def test_a_store_that_nothing_shares_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "policies.yaml"
    config.write_text('store: {url: "memory://"}')
    assert main(["serve", "--config", str(config), "--workers", "2", "--port", "0"]) == 1
    assert capsys.readouterr().err == (
        "kindcache: --workers 2 needs a store that processes share, and store.url is memory://:"
        " name sqlite:///FILE or redis://HOST:PORT/DB\n"
    )


def test_a_secret_that_lacks_is_said_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KINDCACHE_SECRET", raising=False)
    config = tmp_path / "policies.yaml"
    config.write_text('store: {url: "redis://127.0.0.1:1/0"}')
    assert main(["serve", "--config", str(config), "--workers", "2", "--port", "0"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("kindcache: a store that several replicas share needs the same secret")
    assert told.count("\n") == 1


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_number_that_is_none_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--workers", number])
    assert "--workers" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{port}: Address"):
            listen("127.0.0.1", port)


def test_all_addresses_of_a_name_are_listened_on() -> None:
    made = listen("localhost", 0)
    try:
        wanted = {info[0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
        assert {one.family for one in made} == wanted
    finally:
        for one in made:
            one.close()


def test_the_folder_is_for_nobody_else_and_is_gone_after() -> None:
    with runtime_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "left").touch()
    assert not folder.exists()


def test_a_folder_too_long_for_a_socket_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(StartupError, match="set TMPDIR"), runtime_folder():
        pass
    assert list(long.iterdir()) == []


def test_what_computes_with_arrays_takes_its_part_of_the_cores() -> None:
    made = environment({"MKL_NUM_THREADS": "7", "HOME": "/h"}, workers=3, cores=8)
    assert made == {
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "7",
        "HOME": "/h",
    }
    assert environment({}, workers=4, cores=2)["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("number", [1, 200, 4001])
def test_what_is_meant_for_all_is_divided_without_a_rest(number: int) -> None:
    text = (
        f"evidence: {{verify_per_day: {number}}}\nfreshness: {{refresh_per_day: {number}}}\n"
        f"load: {{in_flight: {number}}}"
    )
    places = [Place(one, 3, os.devnull, (), 0) for one in range(3)]
    parts = [own_part(place, loads(text, "test.yaml")) for place in places]
    for shares in (
        [part.evidence.verify_per_day for part in parts],
        [part.freshness.refresh_per_day for part in parts],
    ):
        assert sum(shares) == number
        assert max(shares) - min(shares) <= 1
    calls = [part.load.in_flight or 0 for part in parts]
    assert sum(calls) == max(number, 3)  # none waits for what cannot come
    assert own_part(places[0], loads("version: 1", "test.yaml")).load.in_flight is None
