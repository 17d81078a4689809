"""Tables that went through a file and back."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile

from kindcache.cache.entries.table import Table
from kindcache.cache.snapshot.contents import fill
from kindcache.cache.snapshot.file_format import FileSink, FileSource
from kindcache.cache.snapshot.sections import put_facts

KEY = b"k" * 32


def saved(table: Table) -> bytes:
    """Return the file of ``table``."""
    file = BytesIO()
    sink = FileSink(file, KEY, None)
    table.save(sink)
    put_facts(sink, "end", True)
    sink.finish()
    return file.getvalue()


def loaded(data: bytes, into: Table) -> None:
    """Fill the empty table ``into`` from a file. Raises ``Unusable``."""
    with TemporaryFile() as file:
        file.write(data)
        fill(into, FileSource(file, KEY, None))


def files(folder: Path) -> bytes:
    """Return all bytes of the files in ``folder``."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())
