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
        code = run(options)
        sys.stdout.flush()
    except (ConfigError, KindcacheError) as exc:
        print(f"kindcache: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read the output has enough, as `head` has
        sys.stdout = None  # what is left in it would fail again at the end
        return 141
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kindcache", description="A category-aware semantic cache for LLM serving."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_serve(commands)
    check = commands.add_parser("check", help="validate a policy file and show what it means")
    check.add_argument("file", type=Path, nargs="?", help="default: the shipped one")
    check.set_defaults(run=_check)
    _add_stats(commands)
    _add_erase(commands)
    _add_export(commands)
    _add_import(commands)
    _add_invalidate(commands)
    _add_demo(commands)
    _add_evaluate(commands)
    _add_tune(commands)
    _add_simulate(commands)
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
    serve.add_argument(
        "--workers",
        type=_number,
        default=1,
        metavar="N",
        help="processes that share the port and the store, about one for two cores"
        " (docs/operations.md); default: %(default)s",
    )
    serve.set_defaults(run=_serve)


def _add_stats(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    stats = commands.add_parser(
        "stats", help="show what a running cache knows, with the token in KINDCACHE_ADMIN_TOKEN"
    )
    stats.add_argument("--url", default="http://127.0.0.1:8080", help="default: %(default)s")
    stats.add_argument("--json", action="store_true", help="print the figures as they came")
    stats.set_defaults(run=_stats)


def _add_erase(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    erase = commands.add_parser(
        "erase",
        help="erase what one caller asked, with the token in KINDCACHE_ADMIN_TOKEN",
        description="Reads the caller's credential headers from stdin, one a line, such as"
        " `Authorization: Bearer KEY` or `X-Tenant: acme`; a line without a colon is an API key.",
    )
    erase.add_argument("--url", default="http://127.0.0.1:8080", help="default: %(default)s")
    erase.add_argument("--user", default="", help="of that caller, only this `user`")
    erase.add_argument("--namespace", default="", help="of that caller, only this namespace")
    erase.set_defaults(run=_erase)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = commands.add_parser(
        "export", help="write what the store holds, as lines of JSON (docs/moving.md)"
    )
    export.add_argument("file", type=Path, metavar="FILE", help="- writes to stdout")
    export.add_argument("--config", type=Path, help="policy file; default: the shipped one")
    export.add_argument(
        "--no-vectors", action="store_true", help="leave vectors out; the import makes them again"
    )
    export.set_defaults(run=_export)


def _add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "import",
        help="take entries of an export, or questions with answers, into the store",
        description="Takes what `kindcache export` wrote, or seeds: lines with prompt, answer and"
        " model (docs/moving.md). For seeds stdin has the caller's headers, as in erase.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="- reads stdin")
    parser.add_argument("--config", type=Path, help="policy file; default: the shipped one")
    parser.add_argument("--skip-bad", action="store_true", help="leave out lines that are bad")
    parser.add_argument(
        "--shared", action="store_true", help="seeds: for all callers without a credential"
    )
    parser.add_argument("--upstream", help="seeds: the upstream of the cache, as serve names it")
    parser.set_defaults(run=_import)


def _add_invalidate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    invalidate = commands.add_parser(
        "invalidate",
        help="invalidate stored answers, with the token in KINDCACHE_ADMIN_TOKEN",
        description="What is given must all hold; of several values of one option, one is enough.",
    )
    invalidate.add_argument("--url", default="http://127.0.0.1:8080", help="default: %(default)s")
    for name, told in (
        ("entry", "an entry, as X-Cache-Entry names it"),
        ("category", "of this category"),
        ("model", "asked of this model; with * and ?"),
        ("tag", "stored with this tag"),
    ):
        invalidate.add_argument(
            f"--{name}", action="append", default=[], help=f"{told}; may be repeated"
        )
    invalidate.add_argument("--pattern", help="with a prompt in which this RE2 finds something")
    invalidate.add_argument("--like", metavar="TEXT", help="with a prompt like this text")
    invalidate.add_argument(
        "--at-least", type=float, metavar="S", help="similarity for --like; default: 0.85"
    )
    invalidate.add_argument("--older-than", metavar="AGE", help="such as 7d or 90m")
    invalidate.add_argument(
        "--scope", action="store_true", help="of one caller, whose headers stdin has, as in erase"
    )
    invalidate.add_argument("--user", default="", help="with --scope: only this `user`")
    invalidate.add_argument("--namespace", default="", help="with --scope: only this namespace")
    invalidate.add_argument("--all", action="store_true", help="everything")
    invalidate.add_argument("--dry-run", action="store_true", help="only say what would go")
    invalidate.add_argument("--show-prompts", action="store_true", help="of some of the entries")
    invalidate.add_argument("--json", action="store_true", help="print what the cache answers")
    invalidate.set_defaults(run=_invalidate)


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
    evaluate.add_argument("protocol", choices=("pairs", "conversations", "stream"))
    evaluate.add_argument("files", type=Path, nargs="+", metavar="FILE")
    evaluate.add_argument("--config", type=Path, help="policy file; default: the shipped one")
    evaluate.add_argument(
        "--direction",
        choices=("forward", "backward", "both"),
        default="forward",
        help="which of two fills the cache (pairs and conversations); default: %(default)s",
    )
    evaluate.add_argument("--limit", type=int, help="rows per file")
    evaluate.add_argument("--plots", type=Path, metavar="FOLDER", help="write PNGs there")
    shown = evaluate.add_mutually_exclusive_group()
    shown.add_argument("--summary", action="store_true", help="only the table of all files")
    shown.add_argument(
        "--by",
        action="append",
        choices=("half", "direction", "kind", "category", "decided-category"),
        help="show groups of this kind only; may be repeated; default: all",
    )
    form = evaluate.add_mutually_exclusive_group()
    form.add_argument("--json", dest="format", action="store_const", const="json")
    form.add_argument("--markdown", dest="format", action="store_const", const="markdown")
    evaluate.set_defaults(run=_evaluate, format="text")


def _add_tune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tune = commands.add_parser(
        "tune",
        help="propose bars from evidence, as a diff of the policy file",
        description="Finds the lowest bar of each category that keeps wrong hits / hits within a "
        "rate with 95 % confidence, and shows the change of the policy file. Changes nothing: "
        "`kindcache tune … > tune.diff`, read it, then `patch POLICY.yaml tune.diff`.",
    )
    tune.add_argument("files", type=Path, nargs="*", metavar="FILE", help="labelled pairs, JSONL")
    tune.add_argument("--config", type=Path, help="policy file; default: the shipped one")
    tune.add_argument(
        "--rate", type=_rate, help="such as 1%%; default: each category's max_error_rate"
    )
    tune.add_argument(
        "--store", action="store_true", help="use what a running cache has learnt (store.url)"
    )
    tune.add_argument(
        "--observations",
        type=Path,
        action="append",
        default=[],
        metavar="LOG",
        help="JSONL of category, probability, correct, source; may be repeated",
    )
    tune.add_argument("--json", action="store_true")
    tune.set_defaults(run=_tune)


def _add_simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    simulate = commands.add_parser(
        "simulate",
        help="replay a log of requests under policies, offline",
        description="Replays the requests of a log (JSONL, see docs/simulate.md) through the cache"
        " on a clock of its own, asks no model, and shows the policies side by side.",
    )
    what = simulate.add_mutually_exclusive_group(required=True)
    what.add_argument("--log", type=Path, metavar="FILE", help=".jsonl or .jsonl.gz")
    what.add_argument(
        "--example", type=_number, metavar="N", help="print an example log of N requests instead"
    )
    simulate.add_argument(
        "--policy",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="policy file; may be repeated; default: the shipped one",
    )
    simulate.add_argument("--html", type=Path, metavar="FILE", help="write a report with plots")
    simulate.add_argument("--json", action="store_true")
    simulate.add_argument(
        "--skip-bad", action="store_true", help="leave out lines that cannot be used"
    )
    simulate.add_argument(
        "--under-load",
        action="store_true",
        help="let the load that the logged latencies show relax categories that allow it",
    )
    simulate.add_argument(
        "--seed", type=int, default=1, help="of the example; default: %(default)s"
    )
    simulate.set_defaults(run=_simulate)


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _rate(text: str) -> float:
    from ..config.units import parse_share  # noqa: PLC0415 - `--help` answers at once

    try:
        return parse_share(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _serve(options: argparse.Namespace) -> int:
    from .commands.serve import serve  # noqa: PLC0415
    from .commands.server import ServeOptions  # noqa: PLC0415

    return serve(
        ServeOptions(
            config=options.config,
            upstream=options.upstream,
            host=options.host,
            port=options.port,
            demo_latency_s=options.demo_latency,
            log_level=options.log_level,
            workers=options.workers,
        ),
        _STARTED_S,
    )


def _check(options: argparse.Namespace) -> int:
    from ..config.load import default_path, load  # noqa: PLC0415
    from .commands.check import effective_table, room_notes  # noqa: PLC0415

    path = options.file or default_path()
    settings = load(path)
    print(effective_table(settings))
    for note in room_notes(settings):
        print(f"note: {note}")
    print(f"{path}: valid")
    return 0


def _stats(options: argparse.Namespace) -> int:
    from .commands.stats import StatsOptions, stats  # noqa: PLC0415

    return asyncio.run(stats(StatsOptions(url=options.url, as_json=options.json)))


def _erase(options: argparse.Namespace) -> int:
    from .commands.erase import EraseOptions, erase  # noqa: PLC0415

    return asyncio.run(
        erase(EraseOptions(url=options.url, user=options.user, namespace=options.namespace))
    )


def _invalidate(options: argparse.Namespace) -> int:
    from .commands.invalidate import InvalidateOptions, invalidate  # noqa: PLC0415

    return asyncio.run(
        invalidate(
            InvalidateOptions(
                url=options.url,
                entry=tuple(options.entry),
                category=tuple(options.category),
                model=tuple(options.model),
                tag=tuple(options.tag),
                pattern=options.pattern,
                like=options.like,
                at_least=options.at_least,
                older_than=options.older_than,
                scope=options.scope,
                user=options.user,
                namespace=options.namespace,
                all=options.all,
                dry_run=options.dry_run,
                show_prompts=options.show_prompts,
                as_json=options.json,
            )
        )
    )


def _export(options: argparse.Namespace) -> int:
    from .commands.export import ExportOptions, export  # noqa: PLC0415

    asked = ExportOptions(options.file, options.config, vectors=not options.no_vectors)
    return asyncio.run(export(asked))


def _import(options: argparse.Namespace) -> int:
    from .commands.import_ import ImportOptions, import_  # noqa: PLC0415

    return asyncio.run(
        import_(
            ImportOptions(
                file=options.file,
                config=options.config,
                skip_bad=options.skip_bad,
                shared=options.shared,
                upstream=options.upstream,
            )
        )
    )


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
    from .evaluation.tables import ALL, SUMMARY, Shown  # noqa: PLC0415

    shown = SUMMARY if options.summary else ALL
    if options.by:
        shown = Shown(tuple(name.replace("-", " ") for name in options.by))
    return asyncio.run(
        run(
            EvaluateOptions(
                protocol=Protocol(options.protocol),
                files=tuple(options.files),
                direction=Direction(options.direction),
                limit=options.limit,
                format=Format(options.format),
                shown=shown,
                plots=options.plots,
                config=options.config,
            )
        )
    )


def _tune(options: argparse.Namespace) -> int:
    from .tuning.run import TuneOptions, run  # noqa: PLC0415

    return asyncio.run(
        run(
            TuneOptions(
                files=tuple(options.files),
                observations=tuple(options.observations),
                store=options.store,
                config=options.config,
                rate=options.rate,
                json=options.json,
            )
        )
    )


def _simulate(options: argparse.Namespace) -> int:
    from .simulation.run import SimulateOptions, simulate, write_example  # noqa: PLC0415

    if options.example is not None:
        return write_example(options.example, options.seed)
    return simulate(
        SimulateOptions(
            log=options.log,
            policies=tuple(options.policy),
            html=options.html,
            json=options.json,
            skip_bad=options.skip_bad,
            under_load=options.under_load,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
