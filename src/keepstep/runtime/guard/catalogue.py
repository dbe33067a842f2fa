"""What workflow code must not use, and what to use instead.

A name is flagged in one of three ways:

* ``USED``: already when it is mentioned (functions, ``os.environ``);
* ``CALLED``: when it is called, so that classes may still stand in ``except`` and ``isinstance``; methods of instances
  of such a class are flagged as well (a module-level ``session = requests.Session()``);
* ``BARE``: only when called with at most so many arguments (``time.gmtime()`` reads the clock, ``time.gmtime(0)`` not).

Names are matched by the dotted way in which code reaches them and, through ``Catalogue``, by identity of the object,
so that ``from time import time as clock`` and ``os.path.exists`` (which is ``genericpath.exists``) are found too.
Libraries that nobody has imported cost nothing: only loaded modules are looked into.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType

USED = -1
CALLED = 1_000_000

ABSENT = object()

CLOCK = "use keepstep.now()"
SLEEP = "use keepstep.sleep(...) or asyncio.sleep(...)"
CHANCE = "use keepstep.random()"
IDENTITY = "use keepstep.uuid4()"
WORLD = "do it in a @step"
HOST = "it differs between workers; read it in a @step or pass it in as an argument"
THREAD = "use asyncio tasks for concurrency (they are durable here) and a @step for blocking work"
PERSON = "use keepstep.human_task(...) or keepstep.receive(...)"
ADDRESS = "memory addresses change with every replay; compare with `is` or use a key of your own"
HASH = "hashes of text differ between processes; use zlib.crc32 or hashlib"


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    instead: str
    when: int = USED


def _entries(instead: str, module: str, names: str, when: int = USED) -> list[Entry]:
    return [Entry(f"{module}.{name}", instead, when) for name in names.split()]


_VERBS = "get post put patch delete head options request"

_ENTRIES = [
    *_entries(CLOCK, "time", "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time"),
    *_entries(CLOCK, "time", "process_time_ns thread_time thread_time_ns clock_gettime clock_gettime_ns"),
    *_entries(CLOCK, "time", "gmtime localtime ctime asctime", when=0),
    *_entries(CLOCK, "time", "strftime", when=1),
    *_entries(CLOCK, "pendulum", "now today tomorrow yesterday"),
    *_entries(CLOCK, "arrow", "now utcnow"),
    *_entries(CLOCK, "pandas.Timestamp", "now utcnow today"),
    *_entries(CLOCK, "django.utils.timezone", "now localdate localtime"),
    *_entries(SLEEP, "time", "sleep"),
    *_entries(CLOCK, "datetime", "datetime.now datetime.utcnow datetime.today date.today"),
    *_entries(CHANCE, "random", "random randint randrange randbytes getrandbits choice choices sample shuffle uniform"),
    *_entries(CHANCE, "random", "triangular betavariate expovariate gammavariate gauss lognormvariate normalvariate"),
    *_entries(CHANCE, "random", "vonmisesvariate paretovariate weibullvariate binomialvariate seed getstate setstate"),
    *_entries(CHANCE, "random", "SystemRandom", when=CALLED),
    *_entries(CHANCE, "random", "Random", when=0),
    *_entries(CHANCE, "secrets", "token_bytes token_hex token_urlsafe choice randbelow randbits"),
    *_entries(CHANCE, "numpy.random", "rand randn randint random choice shuffle permutation normal uniform seed"),
    *_entries(CHANCE, "numpy.random", "default_rng", when=0),
    *_entries(CHANCE, "os", "urandom getrandom"),
    *_entries(IDENTITY, "uuid", "uuid1 uuid4 uuid6 uuid7"),
    *_entries(IDENTITY, "uuid_utils", "uuid1 uuid4 uuid6 uuid7"),
    *_entries(IDENTITY, "ulid", "new"),
    *_entries(IDENTITY, "ulid", "ULID", when=0),
    *_entries(IDENTITY, "bson", "ObjectId", when=0),
    *_entries(HOST, "uuid", "getnode"),
    *_entries(HOST, "os", "environ environb getenv getenvb getpid getppid getcwd getcwdb getlogin uname cpu_count"),
    *_entries(HOST, "os", "getloadavg getuid putenv unsetenv chdir umask times"),
    *_entries(HOST, "platform", "node platform uname machine processor version release"),
    *_entries(HOST, "getpass", "getuser"),
    *_entries(HOST, "tempfile", "gettempdir gettempdirb"),
    *_entries(ADDRESS, "builtins", "id"),
    *_entries(HASH, "builtins", "hash"),
    *_entries(PERSON, "sys", "stdin"),
    *_entries(PERSON, "builtins", "input breakpoint"),
    *_entries(PERSON, "getpass", "getpass"),
    *_entries(WORLD, "builtins", "open"),
    *_entries(WORLD, "io", "open open_code FileIO"),
    *_entries(WORLD, "codecs", "open"),
    *_entries(WORLD, "os", "listdir scandir walk fwalk stat lstat open read write close remove unlink rename renames"),
    *_entries(WORLD, "os", "replace mkdir makedirs rmdir removedirs link symlink readlink truncate utime chmod chown"),
    *_entries(WORLD, "os", "access system popen fork forkpty posix_spawn posix_spawnp kill killpg startfile execv"),
    *_entries(WORLD, "os", "execve execvp execvpe execl execle execlp execlpe spawnv spawnve spawnvp spawnl spawnlp"),
    *_entries(WORLD, "os.path", "exists lexists isfile isdir islink ismount getsize getmtime getatime getctime"),
    *_entries(WORLD, "os.path", "samefile"),
    *_entries(WORLD, "pathlib.Path", "read_text read_bytes write_text write_bytes open exists is_file is_dir stat"),
    *_entries(WORLD, "pathlib.Path", "lstat iterdir glob rglob walk mkdir rmdir unlink touch rename replace chmod"),
    *_entries(WORLD, "pathlib.Path", "symlink_to"),
    *_entries(HOST, "pathlib.Path", "cwd home"),
    *_entries(WORLD, "shutil", "copy copy2 copyfile copytree move rmtree which disk_usage make_archive"),
    *_entries(WORLD, "tempfile", "mkstemp mkdtemp mktemp NamedTemporaryFile TemporaryFile SpooledTemporaryFile"),
    *_entries(WORLD, "tempfile", "TemporaryDirectory", when=CALLED),
    *_entries(WORLD, "glob", "glob iglob"),
    *_entries(WORLD, "gzip", "open"),
    *_entries(WORLD, "subprocess", "run call check_call check_output getoutput getstatusoutput"),
    *_entries(WORLD, "subprocess", "Popen", when=CALLED),
    *_entries(WORLD, "socket", "create_connection create_server socketpair fromfd getaddrinfo gethostbyname"),
    *_entries(WORLD, "socket", "gethostbyname_ex gethostbyaddr getnameinfo"),
    *_entries(HOST, "socket", "gethostname getfqdn"),
    *_entries(WORLD, "socket", "socket", when=CALLED),
    *_entries(WORLD, "webbrowser", "open open_new open_new_tab"),
    *_entries(WORLD, "urllib.request", "urlopen urlretrieve build_opener"),
    *_entries(WORLD, "http.client", "HTTPConnection HTTPSConnection", when=CALLED),
    *_entries(WORLD, "smtplib", "SMTP SMTP_SSL LMTP", when=CALLED),
    *_entries(WORLD, "ftplib", "FTP FTP_TLS", when=CALLED),
    *_entries(WORLD, "imaplib", "IMAP4 IMAP4_SSL", when=CALLED),
    *_entries(WORLD, "poplib", "POP3 POP3_SSL", when=CALLED),
    *_entries(WORLD, "requests", _VERBS + " session"),
    *_entries(WORLD, "requests", "Session", when=CALLED),
    *_entries(WORLD, "httpx", _VERBS + " stream"),
    *_entries(WORLD, "httpx", "Client AsyncClient", when=CALLED),
    *_entries(WORLD, "httpx2", _VERBS + " stream"),
    *_entries(WORLD, "httpx2", "Client AsyncClient", when=CALLED),
    *_entries(WORLD, "aiohttp", "request"),
    *_entries(WORLD, "aiohttp", "ClientSession", when=CALLED),
    *_entries(WORLD, "urllib3", "request"),
    *_entries(WORLD, "urllib3", "PoolManager ProxyManager", when=CALLED),
    *_entries(WORLD, "websockets", "connect serve"),
    *_entries(WORLD, "grpc", "insecure_channel secure_channel"),
    *_entries(WORLD, "grpc.aio", "insecure_channel secure_channel"),
    *_entries(WORLD, "boto3", "client resource"),
    *_entries(WORLD, "boto3", "Session", when=CALLED),
    *_entries(WORLD, "sqlite3", "connect"),
    *_entries(WORLD, "sqlite3", "Connection Cursor", when=CALLED),
    *_entries(WORLD, "aiosqlite", "connect"),
    *_entries(WORLD, "psycopg", "connect"),
    *_entries(WORLD, "psycopg", "Connection AsyncConnection", when=CALLED),
    *_entries(WORLD, "psycopg2", "connect"),
    *_entries(WORLD, "asyncpg", "connect create_pool"),
    *_entries(WORLD, "pymysql", "connect"),
    *_entries(WORLD, "pymongo", "MongoClient AsyncMongoClient", when=CALLED),
    *_entries(WORLD, "redis", "from_url"),
    *_entries(WORLD, "redis", "Redis StrictRedis", when=CALLED),
    *_entries(WORLD, "redis.asyncio", "Redis StrictRedis", when=CALLED),
    *_entries(WORLD, "sqlalchemy", "create_engine"),
    *_entries(WORLD, "openai", "OpenAI AsyncOpenAI", when=CALLED),
    *_entries(WORLD, "anthropic", "Anthropic AsyncAnthropic", when=CALLED),
    *_entries(THREAD, "_thread", "start_new_thread start_new"),
    *_entries(THREAD, "threading", "Thread Timer", when=CALLED),
    *_entries(THREAD, "concurrent.futures", "ThreadPoolExecutor ProcessPoolExecutor Executor", when=CALLED),
    *_entries(THREAD, "multiprocessing", "Pool Manager Queue SimpleQueue JoinableQueue Pipe Value Array"),
    *_entries(THREAD, "multiprocessing", "Process", when=CALLED),
    *_entries(THREAD, "multiprocessing.pool", "Pool ThreadPool", when=CALLED),
    *_entries(THREAD, "asyncio", "to_thread run"),
    *_entries(THREAD, "asyncio", "Runner", when=CALLED),
    *_entries(WORLD, "asyncio", "create_subprocess_exec create_subprocess_shell open_connection start_server"),
    *_entries(WORLD, "asyncio", "open_unix_connection start_unix_server"),
    *_entries(THREAD, "asyncio.AbstractEventLoop", "run_in_executor set_default_executor run_until_complete"),
    *_entries(THREAD, "asyncio.AbstractEventLoop", "run_forever"),
    *_entries(WORLD, "asyncio.AbstractEventLoop", "create_connection create_server create_datagram_endpoint sendfile"),
    *_entries(WORLD, "asyncio.AbstractEventLoop", "create_unix_connection create_unix_server subprocess_exec"),
    *_entries(WORLD, "asyncio.AbstractEventLoop", "subprocess_shell connect_read_pipe connect_write_pipe getaddrinfo"),
    *_entries(WORLD, "asyncio.AbstractEventLoop", "getnameinfo add_reader add_writer add_signal_handler sock_connect"),
    *_entries(WORLD, "asyncio.AbstractEventLoop", "sock_recv sock_sendall sock_accept"),
]

# Not a name: a generator that stands in a module and outlives the run (``random.Random`` made elsewhere).
LASTING_GENERATOR = Entry("random.Random", CHANCE)


class Catalogue:
    """The entries by name and, for modules that are loaded, by the identity of what they name."""

    def __init__(self) -> None:
        self._by_name = {entry.name: entry for entry in _ENTRIES}
        self._by_identity: dict[int, Entry] = {}
        self._kept: list[object] = []  # holds what is known by identity, so that no id is given out again
        self._waiting: dict[str, list[Entry]] = {}
        for entry in _ENTRIES:
            self._waiting.setdefault(entry.name.partition(".")[0], []).append(entry)

    def refresh(self) -> None:
        """Look into the modules that were loaded since the last time."""
        for root in [root for root in self._waiting if root in sys.modules]:
            late = [entry for entry in self._waiting.pop(root) if not self._index(entry)]
            if late:
                self._waiting[root] = late

    def named(self, path: str) -> Entry | None:
        return self._by_name.get(path)

    def holding(self, thing: object) -> Entry | None:
        return self._by_identity.get(id(thing))

    def _index(self, entry: Entry) -> bool:
        found = _loaded(entry.name)
        if found is not ABSENT and id(found) not in self._by_identity:
            self._by_identity[id(found)] = entry
            self._kept.append(found)
        return found is not ABSENT


def instead_of(name: str) -> str | None:
    """The right call for a name of the catalogue."""
    return next((entry.instead for entry in _ENTRIES if entry.name == name), None)


def _loaded(name: str) -> object:
    """What a dotted name means now, without importing anything and without running any module's ``__getattr__``."""
    root, *rest = name.split(".")
    thing: object = sys.modules.get(root, ABSENT)
    for part in rest:
        if not isinstance(thing, (ModuleType, type)):
            return ABSENT
        thing = module_attribute(thing, part) if isinstance(thing, ModuleType) else _class_attribute(thing, part)
    return thing


def _class_attribute(cls: type, name: str) -> object:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), ABSENT)


def module_attribute(module: ModuleType, name: str) -> object:
    found = vars(module).get(name, ABSENT)
    return found if found is not ABSENT else sys.modules.get(f"{module.__name__}.{name}", ABSENT)
