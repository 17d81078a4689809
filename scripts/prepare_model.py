"""Export the embedding model that a policy file names, so that a start needs neither torch nor net.

    python scripts/prepare_model.py --config deploy/policies.yaml --into models

The folder is what ``embedder.artefacts`` names, or ``$XDG_CACHE_HOME/kindcache/models``. Needs the
extra ``model``. Does nothing where the export is there already, and where the runtime needs none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kindcache.cache.embedders.shelf import obtain
from kindcache.cache.errors import StartupError
from kindcache.config.load import ConfigError, load


def prepare(config: Path, into: Path) -> str:
    """Export into ``into``; return what was done. Raises ``ConfigError`` and ``StartupError``."""
    embedder = load(config).embedder
    match embedder.runtime:
        case "onnx" | "onnx-int8":
            found = obtain(embedder.model, embedder.runtime, into, print)
            return f"{found.meta.identity} is in {into}"
        case runtime:
            return f"runtime {runtime} needs no export"


def main() -> int:
    """Export, and say so."""
    parser = argparse.ArgumentParser(description="Export the embedding model of a policy file.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    try:
        print(prepare(options.config, options.into))
    except (ConfigError, StartupError) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
