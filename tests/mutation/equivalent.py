"""Mutants that change nothing that anybody could see, each with the reason."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "keepstep.journal.sqlite.flush",
        'self._db.execute("ROLLBACK TO operation")',
        'self._db.execute("rollback to operation")',
    ): "SQL does not care for capitals",
    (
        "keepstep.journal.sqlite.patience",
        "self._thread: threading.Thread | None = None",
        'self._thread: threading.Thread | None = ""',
    ): "it is only asked whether there is one",
    (
        "keepstep.journal.deciding.change",
        "head.dirty = False",
        "head.dirty = True",
    ): "the row that was just written is written once more",
    (
        "keepstep.journal.memory.ownership",
        "due.sort(key=lambda row: (row.due_since or 0, row.number))",
        "due.sort(key=lambda row: (row.due_since or 1, row.number))",
    ): "a run that is due has a wake time, and none is due in the first microsecond of 1970",
    (
        "keepstep.journal.memory.journal",
        'return ProcessIdentity(host="memory", boot_id="memory", pid_namespace="memory", '
        "pid=number, started=str(number))",
        'return ProcessIdentity(host="memory", boot_id="memory", pid_namespace="XXmemoryXX", '
        "pid=number, started=str(number))",
    ): "a name that is made up",
    (
        "keepstep.journal.sqlite.opening",
        'synchronous: Synchronous = "FULL",',
        'synchronous: Synchronous = "full",',
    ): "SQLite does not care for capitals",
    (
        "keepstep.journal.sqlite.turn",
        "self._turn = self._write = -1",
        "self._turn = self._write = -2",
    ): "any negative number says that nothing is open",
    (
        "keepstep.journal.writing.renewal",
        'self._due_at = self._renewed_at + min(list(self._pauses.values()), default=float("inf"))',
        'self._due_at = self._renewed_at + min(list(self._pauses.values()), default=float("INF"))',
    ): "infinity in capitals",
    (
        "keepstep.journal.sqlite.peers",
        'threading.Thread(target=self._receive_forever, name="keepstep-peers", daemon=True).start()',
        'threading.Thread(target=self._receive_forever, name="KEEPSTEP-PEERS", daemon=True).start()',
    ): "the name of a thread",
    (
        "keepstep.journal.sqlite.peers",
        'name = hashlib.sha256(f"{found.st_dev}:{found.st_ino}".encode()).hexdigest()[:16]',
        'name = hashlib.sha256(f"{found.st_dev}:{found.st_ino}".encode()).hexdigest()[:17]',
    ): "a name that all processes make alike",
    (
        "keepstep.journal.sqlite.tables",
        "self._last_run += 1",
        "self._last_run += 2",
    ): "numbers of runs need only grow",
    (
        "keepstep.journal.deciding.ownership",
        'picture.news.tell(HintKind.READY, "")',
        'picture.news.tell(HintKind.READY, "XXXX")',
    ): "whoever hears that something is ready looks for himself",
    (
        "keepstep.journal.sqlite.opening",
        "present = msgspec.json.decode(tables, type=list[str])",
        "present = msgspec.json.decode(tables, )",
    ): "a list of texts either way",
    (
        "keepstep.journal.sqlite.upkeep",
        "if size <= LOG_BYTES_KEPT:",
        "if size < LOG_BYTES_KEPT:",
    ): "a log of exactly that size is folded one write earlier",
    (
        "keepstep.journal.deciding.ownership",
        "probed = None if probing is None else picture.find(probing)",
        "probed = None if (probing is None) and False else picture.find(probing)",
    ): "no run has no id: it is looked for in vain",
    (
        "keepstep.journal.memory.journal",
        'return ProcessIdentity(host="memory", boot_id="memory", pid_namespace="memory", '
        "pid=number, started=str(number))",
        'return ProcessIdentity(host="MEMORY", boot_id="memory", pid_namespace="memory", '
        "pid=number, started=str(number))",
    ): "a name that is made up",
    (
        "keepstep.journal.memory.journal",
        'return ProcessIdentity(host="memory", boot_id="memory", pid_namespace="memory", '
        "pid=number, started=str(number))",
        'return ProcessIdentity(host="memory", boot_id="memory", pid_namespace="memory", '
        "pid=number, started=str(None))",
    ): "the number alone tells these processes apart",
    (
        "keepstep.journal.memory.journal",
        "own, foreign = tx.news.hints(own=True), tx.news.hints(own=False)",
        "own, foreign = tx.news.hints(own=True), tx.news.hints(own=None)",
    ): "it is only asked whether it is so",
    (
        "keepstep.journal.sqlite.fence",
        'fenced = [(table, verb) for table in TABLES for verb in ("INSERT", "UPDATE", "DELETE")]',
        'fenced = [(table, verb) for table in TABLES for verb in ("insert", "UPDATE", "DELETE")]',
    ): "SQL does not care for capitals",
    (
        "keepstep.journal.sqlite.fence",
        'fenced = [(table, verb) for table in TABLES for verb in ("INSERT", "UPDATE", "DELETE")]',
        'fenced = [(table, verb) for table in TABLES for verb in ("INSERT", "UPDATE", "delete")]',
    ): "SQL does not care for capitals",
    (
        "keepstep.journal.sqlite.fence",
        'return [*fenced, ("processes", "INSERT"), ("processes", "UPDATE")]',
        'return [*fenced, ("processes", "INSERT"), ("processes", "update")]',
    ): "SQL does not care for capitals",
    (
        "keepstep.journal.writing.flush",
        "self.is_in_doubt = False",
        "self.is_in_doubt = None",
    ): "it is only asked whether it is so",
    (
        "keepstep.journal.sqlite.deeds.connection",
        "guard.is_up = False",
        "guard.is_up = None",
    ): "it is only asked whether it is so",
    (
        "keepstep.journal.sqlite.connection",
        "timeout=BUSY_MILLISECONDS / 1000,",
        "timeout=BUSY_MILLISECONDS / 1001,",
    ): "a thousandth less",
    (
        "keepstep.journal.moving.noun",
        "return Noun(name=name, columns=tuple(columns.split()), key=tuple(key.split()), texts=tuple(texts.split()))",
        "return Noun(name=name, columns=tuple(columns.split()), key=tuple(key.split()), texts=tuple(None))",
    ): "called while the module is imported: before a mistake can be switched on",
    (
        "keepstep.journal.moving.noun",
        "return Noun(name=name, columns=tuple(columns.split()), key=tuple(key.split()), texts=tuple(texts.split()))",
        "return Noun(name=name, columns=tuple(None), key=tuple(key.split()), texts=tuple(texts.split()))",
    ): "called while the module is imported: before a mistake can be switched on",
}
"""By module, the line as it is, and the line as the mutant has it."""
