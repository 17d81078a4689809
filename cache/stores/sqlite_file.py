"""The SQLite file: its schema, how it is opened, and the statements that run on it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from ..ports import EntryKey

APPLICATION_ID = 0x6B636863  # "kchc": tells our files from other SQLite files
SCHEMA_VERSION = 1
PURGE_ROWS = 64  # expired rows freed by each write transaction: bounded work, faster than growth

# Payloads stand apart, so that listing records reads none of them. AUTOINCREMENT never gives an
# id twice, so that a listing in the order of ids shows no entry twice.
COUNTERS = """
CREATE TABLE IF NOT EXISTS counters (
    ledger TEXT NOT NULL,
    name TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (ledger, name)
) WITHOUT ROWID
"""
CHANGES = """
CREATE TABLE IF NOT EXISTS changes (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    origin BLOB NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL
)
"""
LEASES = """
CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY,
    token BLOB NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID
"""
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    expires REAL NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX entries_expires ON entries (expires);
CREATE TABLE payloads (
    id INTEGER PRIMARY KEY REFERENCES entries (id) ON DELETE CASCADE,
    payload BLOB NOT NULL
);
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
{COUNTERS};
{CHANGES};
{LEASES};
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Connections:
    """One connection to write, one that can only read."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection

    def close(self) -> None:
        """Close both; the writer last, since it folds the log into the file."""
        self.reader.close()
        self.writer.close()


def translated(exc: sqlite3.Error | OSError) -> StoreError:
    """Turn a foreign error into ours. SQLite's messages hold no bound values."""
    if isinstance(exc, sqlite3.Error):
        name = getattr(exc, "sqlite_errorname", type(exc).__name__)
        return StoreError(f"sqlite: {name}: {exc}")
    return StoreError(f"sqlite: {exc.strerror or type(exc).__name__}")


def connect(path: Path, busy_timeout_s: float, read_timeout_s: float) -> Connections:
    """Open ``path``, creating folder, file (mode 0600) and schema where they are missing.

    Raises ``StoreError`` for a file that is not ours or is of another version, without touching
    it, and for whatever keeps the file from being opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        writer = _connection(path, "rw", busy_timeout_s)
    except (sqlite3.Error, OSError) as exc:
        raise StoreError(f"{path}: cannot be opened: {translated(exc)}") from exc
    try:
        _prepare_patiently(writer, path, busy_timeout_s)
        reader = _connection(path, "ro", read_timeout_s)
    except (sqlite3.Error, StoreError) as exc:
        writer.close()
        if isinstance(exc, StoreError):
            raise
        raise StoreError(f"{path}: cannot be opened: {translated(exc)}") from exc
    return Connections(writer, reader)


def _connection(path: Path, mode: str, timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _prepare_patiently(connection: sqlite3.Connection, path: Path, timeout_s: float) -> None:
    # SQLite does not wait for a lock while the journal mode changes, as it does when two
    # processes start on a new file: wait here.
    give_up_at = time.monotonic() + timeout_s
    while True:
        try:
            _prepare(connection, path)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            time.sleep(0.01)
        else:
            return


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    is_new = _check_identity(connection, path)
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != ("wal",):
            raise StoreError(f"{path}: this file system has no write-ahead log; use a local disk")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
    if is_new:
        try:
            connection.executescript(SCHEMA)
        except sqlite3.OperationalError:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if _check_identity(connection, path):  # else another process was faster
                raise
    # The first files had none of these; programs of then ignore them.
    for table in (COUNTERS, CHANGES, LEASES):
        connection.execute(table)


def _check_identity(connection: sqlite3.Connection, path: Path) -> bool:
    """Say whether the file is empty; raise ``StoreError`` when it is not ours."""
    connection.execute("BEGIN")  # one snapshot for the three questions
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if application == APPLICATION_ID:
        if version == SCHEMA_VERSION:
            return False
        raise StoreError(
            f"{path}: written by another version of kindcache (format {version}, this one reads"
            f" {SCHEMA_VERSION}); move the file away to start empty, or run the version that"
            " wrote it"
        )
    if application or version or objects:
        raise StoreError(
            f"{path}: an SQLite database, but not one of kindcache; name another file in store.url"
        )
    return True


def read_payload(connection: sqlite3.Connection, key: EntryKey, now_s: float) -> bytes | None:
    """Return the payload of a live entry."""
    row: tuple[bytes] | None = connection.execute(
        "SELECT payload FROM entries JOIN payloads USING (id) WHERE key = ? AND expires > ?",
        (key, now_s),
    ).fetchone()
    return None if row is None else row[0]


def read_records_of(
    connection: sqlite3.Connection, keys: Collection[EntryKey], now_s: float
) -> dict[EntryKey, bytes]:
    """Return the records of those ``keys`` that are live."""
    question = "SELECT record FROM entries WHERE key = ? AND expires > ?"
    found = ((key, connection.execute(question, (key, now_s)).fetchone()) for key in keys)
    return {key: row[0] for key, row in found if row is not None}


def read_last_id(connection: sqlite3.Connection) -> int:
    """Return the highest id given so far."""
    (last,) = connection.execute("SELECT ifnull(max(id), 0) FROM entries").fetchone()
    return int(last)


def read_records(
    connection: sqlite3.Connection, after: int, upto: int, now_s: float, limit: int
) -> list[tuple[int, EntryKey, bytes]]:
    """Return the next ``limit`` live ``(id, key, record)`` with ``after < id <= upto``."""
    return connection.execute(
        "SELECT id, key, record FROM entries"
        " WHERE id > ? AND id <= ? AND expires > ? ORDER BY id LIMIT ?",
        (after, upto, now_s, limit),
    ).fetchall()


def write_entry(
    connection: sqlite3.Connection, key: EntryKey, payload: bytes, record: bytes, expires_s: float
) -> None:
    """Insert or replace an entry."""
    rows = connection.execute(
        "INSERT INTO entries (key, expires, record) VALUES (?, ?, ?) ON CONFLICT (key)"
        " DO UPDATE SET expires = excluded.expires, record = excluded.record RETURNING id",
        (key, expires_s, record),
    ).fetchall()
    connection.execute(
        "INSERT INTO payloads (id, payload) VALUES (?, ?)"
        " ON CONFLICT (id) DO UPDATE SET payload = excluded.payload",
        (rows[0][0], payload),
    )


def delete_entries(connection: sqlite3.Connection, keys: Collection[EntryKey]) -> None:
    """Delete entries; their payloads follow by the foreign key."""
    connection.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in keys])


def scrub(connection: sqlite3.Connection, now_s: float) -> None:
    """Write the file anew from its live entries, and empty the log.

    ``PRAGMA secure_delete`` is not enough: of 13,000 records deleted in the course of ordinary
    work it left 9 readable, as copies in pages that had been split. Raises ``StoreError`` while
    another connection reads what the log holds.
    """
    connection.execute("DELETE FROM entries WHERE expires <= ?", (now_s,))
    connection.execute("VACUUM")
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreError("sqlite: the log is in use by another process; try again")


def claim_name(connection: sqlite3.Connection, name: str, value: bytes) -> bytes:
    """Return what is kept under ``name``, which is ``value`` if nothing was."""
    connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
    (kept,) = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return bytes(kept)


def add_counts(connection: sqlite3.Connection, ledger: str, amounts: Mapping[str, int]) -> None:
    """Add to counters; one that is absent counts as 0."""
    connection.executemany(
        "INSERT INTO counters (ledger, name, amount) VALUES (?, ?, ?)"
        " ON CONFLICT (ledger, name) DO UPDATE SET amount = amount + excluded.amount",
        [(ledger, name, amount) for name, amount in amounts.items()],
    )


def read_counts(connection: sqlite3.Connection, ledger: str) -> dict[str, int]:
    """Return every counter of ``ledger``."""
    rows = connection.execute("SELECT name, amount FROM counters WHERE ledger = ?", (ledger,))
    return dict(rows)


def counts_of(path: Path, ledger: str, busy_timeout_s: float) -> dict[str, int]:
    """Return every counter of ``ledger`` in a file that others may be using; writes nothing.

    Raises ``StoreError``, also when there is no such file.
    """
    if not path.exists():
        raise StoreError(f"{path.resolve()}: no such file")
    try:
        connection = _connection(path, "ro", busy_timeout_s)
        try:
            if _check_identity(connection, path):
                return {}
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            return read_counts(connection, ledger) if ("counters",) in tables.fetchall() else {}
        finally:
            connection.close()
    except sqlite3.Error as exc:
        raise StoreError(f"{path}: cannot be read: {translated(exc)}") from exc


def delete_counts(connection: sqlite3.Connection, ledger: str, names: Collection[str]) -> None:
    """Drop counters of ``ledger``."""
    connection.executemany(
        "DELETE FROM counters WHERE ledger = ? AND name = ?", [(ledger, name) for name in names]
    )


def take_lease(
    connection: sqlite3.Connection, name: str, token: bytes, now_s: float, expires_s: float
) -> bytes | None:
    """Take or renew a lease; return who holds it now."""
    connection.execute("DELETE FROM leases WHERE expires <= ?", (now_s,))
    connection.execute(
        "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
        " SET expires = excluded.expires WHERE token = excluded.token",
        (name, token, expires_s),
    )
    held = connection.execute("SELECT token FROM leases WHERE name = ?", (name,)).fetchone()
    return None if held is None else bytes(held[0])


def free_lease(connection: sqlite3.Connection, name: str, token: bytes) -> None:
    """Free a lease that ``token`` holds."""
    connection.execute("DELETE FROM leases WHERE name = ? AND token = ?", (name, token))


def purge_expired(connection: sqlite3.Connection, now_s: float) -> None:
    """Delete some expired entries. Freed pages are reused; the file does not shrink."""
    connection.execute(
        "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE expires <= ? LIMIT ?)",
        (now_s, PURGE_ROWS),
    )
