"""The ``kindcache`` command."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_STARTED_S = time.perf_counter()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code. Problems are one line on stderr."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    from ..cache.errors import KindcacheError  # noqa: PLC0415 - `--help` answers at once
    from ..config.load import ConfigError  # noqa: PLC0415

    try:
        return run(options)
    except (ConfigError, KindcacheError) as exc:
        print(f"kindcache: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kindcache", description="A category-aware semantic cache for LLM serving."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_serve(commands)
    check = commands.add_parser("check", help="validate a policy file and show what it means")
    check.add_argument("file", type=Path, nargs="?", help="default: the shipped one")
    check.set_defaults(run=_check)
    _add_demo(commands)
    _add_evaluate(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="run the caching proxy")
    serve.add_argument("--config", type=Path, help="policy file; default: the shipped one")
    serve.add_argument("--upstream", help="base URL of an OpenAI-compatible server")
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    serve.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    serve.add_argument(
        "--demo-latency", type=float, default=0.6, help="first token of the demo model, seconds"
    )
    serve.add_argument("--log-level", default="warning", help="default: %(default)s")
    serve.set_defaults(run=_serve)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser("demo", help="play known traffic through a running proxy")
    demo.add_argument("--url", default="http://127.0.0.1:8080", help="default: %(default)s")
    demo.add_argument("--api-key", default="kindcache-demo", help="credential to send")
    demo.add_argument("--prompts", type=Path, help="JSONL file; default: the shipped one")
    demo.add_argument("--model", default="", help="default: the first the proxy lists")
    demo.add_argument("--passes", type=int, default=1, help="default: %(default)s")
    demo.add_argument("--concurrency", type=int, default=1, help="default: %(default)s")
    demo.add_argument("--stream", action="store_true", help="ask for streams")
    demo.add_argument("--keep", action="store_true", help="use what earlier runs stored")
    demo.set_defaults(run=_demo)


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    evaluate = commands.add_parser("evaluate", help="measure with labelled data")
    evaluate.add_argument("protocol", choices=("pairs", "stream"))
    evaluate.add_argument("files", type=Path, nargs="+", metavar="FILE")
    evaluate.add_argument("--config", type=Path, help="policy file; default: the shipped one")
    evaluate.add_argument("--direction", choices=("forward", "both"), default="forward")
    evaluate.add_argument("--limit", type=int, help="rows per file")
    form = evaluate.add_mutually_exclusive_group()
    form.add_argument("--json", dest="format", action="store_const", const="json")
    form.add_argument("--markdown", dest="format", action="store_const", const="markdown")
    evaluate.set_defaults(run=_evaluate, format="text")


def _serve(options: argparse.Namespace) -> int:
    from .serve import ServeOptions, serve  # noqa: PLC0415

    return serve(
        ServeOptions(
            config=options.config,
            upstream=options.upstream,
            host=options.host,
            port=options.port,
            demo_latency_s=options.demo_latency,
            log_level=options.log_level,
        ),
        _STARTED_S,
    )


def _check(options: argparse.Namespace) -> int:
    from ..config.load import default_path, load  # noqa: PLC0415
    from .check import effective_table  # noqa: PLC0415

    path = options.file or default_path()
    print(effective_table(load(path)))
    print(f"{path}: valid")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from .demo.play import PlayOptions, play  # noqa: PLC0415

    return asyncio.run(
        play(
            PlayOptions(
                base_url=options.url,
                api_key=options.api_key,
                prompts=options.prompts,
                model=options.model,
                passes=options.passes,
                concurrency=options.concurrency,
                stream=options.stream,
                keep=options.keep,
            )
        )
    )


def _evaluate(options: argparse.Namespace) -> int:
    from .evaluation.evaluate import EvaluateOptions, Format, Protocol  # noqa: PLC0415
    from .evaluation.pairs import Direction  # noqa: PLC0415
    from .evaluation.run import run  # noqa: PLC0415

    return asyncio.run(
        run(
            EvaluateOptions(
                protocol=Protocol(options.protocol),
                files=tuple(options.files),
                direction=Direction(options.direction),
                limit=options.limit,
                format=Format(options.format),
                config=options.config,
            )
        )
    )


if __name__ == "__main__":
    sys.exit(main())
