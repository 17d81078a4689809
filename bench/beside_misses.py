"""Clients that ask what is not stored, until told to stop. Started by ``beside.py``.

    python bench/beside_misses.py --port 8080 --clients 8 --seed 1 --skip 1000

Prints ``asked`` as soon as the first answers are here, and at the end, when standard input closes,
how many requests missed, of how many, in how many seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time

import uvloop
from load_client import connect
from questions import questions
from store_filling import tier

READY_AFTER = 50  # answers


async def miss(options: argparse.Namespace) -> None:
    """Ask until standard input closes."""
    new = iter(questions(options.seed)[options.skip :])
    over = threading.Event()
    threading.Thread(target=_await_end, args=(over,), daemon=True).start()
    asked = missed = 0
    began_s = time.perf_counter()

    async def ask() -> None:
        nonlocal asked, missed
        connection = await connect(options.port)
        try:
            while not over.is_set():
                question = next(new, None)
                if question is None:
                    raise SystemExit("there are not enough questions left to miss")
                response = await connection.ask(question.request())
                asked += 1
                missed += tier(response) == "miss"
                if asked == READY_AFTER:
                    print("asked", flush=True)
        finally:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(options.clients):
            group.create_task(ask())
    print(missed, asked, time.perf_counter() - began_s, flush=True)


def _await_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def main() -> None:
    """Read the command line and ask."""
    parser = argparse.ArgumentParser(description="Ask what is not stored.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="questions that are stored")
    uvloop.run(miss(parser.parse_args()))


if __name__ == "__main__":
    main()
