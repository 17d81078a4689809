"""Chooses the embedder that the settings ask for. Each runtime imports its heavy modules itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from ..errors import StartupError
from ..ports import Embedder, Encoder
from .batching import Batcher
from .memo import Memo

if TYPE_CHECKING:
    from ...config.service_settings import EmbedderSettings


def choose(settings: EmbedderSettings, api_key: str, report: Callable[[str], None]) -> Embedder:
    """Make the embedder of ``settings``, with its memo, not opened yet.

    ``api_key`` goes to the remote server, "" = none. ``report`` gets sentences on long steps, from
    the worker thread. Raises ``StartupError`` when the settings cannot work.
    """
    return Memo(_bare(settings, api_key, report), settings.memo)


def _bare(settings: EmbedderSettings, api_key: str, report: Callable[[str], None]) -> Embedder:
    match settings.runtime:
        case "onnx" | "onnx-int8":
            # One at a time: a batch is no faster, and its first text would wait for its last.
            return _batched(settings, lambda: _onnx(settings, report), batch=1)
        case "sentence-transformers":
            return _batched(settings, lambda: _sentence(settings, report), batch=settings.batch)
        case "hashing":
            return _batched(settings, lambda: _hashing(settings), batch=settings.batch)
        case "remote":
            return _remote(settings, api_key)
        case _:
            assert_never(settings.runtime)


def _batched(settings: EmbedderSettings, load: Callable[[], Encoder], *, batch: int) -> Batcher:
    return Batcher(load, deadline_s=settings.deadline, batch=batch, queue=settings.queue)


def _onnx(settings: EmbedderSettings, report: Callable[[str], None]) -> Encoder:
    from .onnx import load  # noqa: PLC0415 - see the module's first line
    from .shelf import default_root  # noqa: PLC0415

    assert settings.runtime == "onnx" or settings.runtime == "onnx-int8"  # noqa: PLR1714 - narrows
    root = Path(settings.artefacts).expanduser() if settings.artefacts else default_root()
    return load(
        settings.model,
        settings.runtime,
        root,
        report,
        threads=settings.threads,
        window=settings.window,
    )


def _sentence(settings: EmbedderSettings, report: Callable[[str], None]) -> Encoder:
    from .sentence import SentenceEncoder  # noqa: PLC0415

    report(f"Loading {settings.model} with sentence-transformers.")
    return SentenceEncoder.load(
        settings.model, threads=settings.threads, window=settings.window, batch=settings.batch
    )


def _hashing(settings: EmbedderSettings) -> Encoder:
    from .hashing import HashingEncoder  # noqa: PLC0415

    return HashingEncoder(settings.dimensions, settings.window or 256)


def _remote(settings: EmbedderSettings, api_key: str) -> Embedder:
    from .remote import RemoteEmbedder  # noqa: PLC0415

    if not settings.url.startswith(("http://", "https://")):
        raise StartupError("embedder.runtime: remote needs embedder.url, http://… or https://…")
    if not settings.window:
        raise StartupError("embedder.runtime: remote needs embedder.window, in tokens")
    return RemoteEmbedder(
        settings.url,
        settings.model,
        dim=settings.dimensions,
        window=settings.window,
        api_key=api_key,
        deadline_s=settings.deadline,
        batch=settings.batch,
        queue=settings.queue,
    )
