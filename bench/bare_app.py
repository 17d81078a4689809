"""A bare ASGI app: it parses, hashes and answers, the least that an app of this kind can do.

python bench/bare_app.py --port 9001
"""

from __future__ import annotations

import argparse
import hashlib
import json
from typing import Any

import upstream_app
import uvicorn

ANSWER = upstream_app.whole()
ANSWERS: dict[bytes, bytes] = {}  # stays empty: looking is what counts


async def bare(_scope: Any, receive: Any, send: Any) -> None:
    """Answer one request."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    parsed = json.loads(body) if body else {}
    key = hashlib.sha256(json.dumps(parsed, sort_keys=True).encode()).digest()
    answer = ANSWERS.get(key, ANSWER)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer, "more_body": False})


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Serve the bare app.")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        bare,
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
