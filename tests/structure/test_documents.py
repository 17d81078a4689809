"""What README and docs show works, and what they list is complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from kindcache.config.load import loads
from kindcache.policies.verdict import Reason
from tests.drivers import AsgiDriver
from tests.drivers.cached import KEY

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]


def blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


async def test_the_middleware_example_caches_in_a_fastapi_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = 'store: {url: "memory://"}\nembedder: {runtime: hashing}\n'
    (tmp_path / "policies.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    names: dict[str, Any] = {}
    exec(example, names)
    app = names["app"]

    @app.post("/v1/chat/completions")  # type: ignore[untyped-decorator]
    async def chat() -> JSONResponse:
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}}
        answer = {"model": "m", "choices": [choice | {"finish_reason": "stop"}], "created": 1}
        return JSONResponse(answer | {"object": "chat.completion", "id": "x"})

    async with AsgiDriver(app) as driver:
        results = [(await driver.chat("hello", headers=KEY)).header("x-cache") for _ in range(2)]
    assert results == ["MISS", "HIT"]


def test_the_policy_example_is_valid() -> None:
    (example,) = blocks("yaml")
    settings = loads(example, "README.md")
    assert list(settings.categories) == ["code", "market_data", "medical"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason}`" in (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
