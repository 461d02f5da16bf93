"""The daemon: one store, one engine, one port.

Rules of this file:

- The order of the start: the store is opened and loaded, then the port, then the line that says so.
  Whoever can connect is served.
- The order of the end: nothing new is accepted; the engine answers what runs (long polls empty) and
  makes it durable; then the connections go, and last the store. Bounded by `drain_ms`; a second
  signal ends the waiting at once.
- There is no authentication, so other machines can reach the port only if the caller says in so
  many words that they may.
- Heavy imports happen in `serve`, not at import: help texts and refusals need none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, final

import anyio
import msgspec

from eventcore.arn import DEFAULT_ACCOUNT, DEFAULT_REGION, function_arn
from eventcore.errors import InvalidParameter
from eventcore.limits import DRAIN_MS_DEFAULT
from eventcore.server.quota_options import check_quotas, quotas_with

if TYPE_CHECKING:
    import ssl

    from eventcore.functions.function_spec import FunctionConfig
    from eventcore.runtime.connectors import Connectors
    from eventcore.runtime.engine import Engine
    from eventcore.server.listener import HttpServer

__all__ = ["DEFAULT_PORT", "OnListening", "ServeConfig", "run_daemon", "serve"]

DEFAULT_PORT: Final = 4566
DATA_FILE: Final = "events.db"
DATA_SUFFIX: Final = ".db"
STORE_CLOSE_MS_MAX: Final = 5_000
"""For the last commit, after the time for draining is over."""

OnListening = Callable[[str], None]
"""Told the URL, once, when the port is open."""


@final
class ServeConfig(msgspec.Struct, frozen=True):
    """What a daemon serves, where, and how carefully.

    `data` is a directory (made if missing; the file in it is "events.db") or a file that ends in
    ".db" (new, empty, or ours); None keeps everything in memory. `port` 0 lets the system choose.
    `drain_ms` bounds the end. Messages survive as `durability` says, see
    `eventcore.stores.base.Durability`. `quotas` are switched by name, over those of the
    `strictness`; None is off. With `tls_certificate` and `tls_key`, files in PEM form, the port
    speaks TLS and nothing else. `functions`, by name, are made or changed at the start, in the
    default account and region; their HTTP endpoints may be private, since the operator named them.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    data: str | None = "eventcore-data"
    durability: Literal["full", "relaxed", "memory"] = "full"
    strictness: Literal["relaxed", "aws"] = "relaxed"
    quotas: dict[str, int | None] = {}
    committer: Literal["writer", "inline"] = "inline" if sys.platform == "win32" else "writer"
    drain_ms: int = DRAIN_MS_DEFAULT
    allow_remote: bool = False
    tls_certificate: str | None = None
    tls_key: str | None = None
    functions: dict[str, FunctionConfig] = {}

    def store_path(self) -> str | None:
        """The file that holds everything, or None for memory."""
        if self.data is None or self.durability == "memory":
            return None
        data = Path(self.data)
        is_file = data.suffix == DATA_SUFFIX and not data.is_dir()
        return str(data if is_file else data / DATA_FILE)

    def check(self) -> None:
        """Raises InvalidParameter for what cannot be served."""
        if not 0 <= self.port <= 65_535:
            raise InvalidParameter("port", "must be from 0 to 65535", self.port)
        if self.drain_ms < 0:
            raise InvalidParameter("drain_ms", "must not be negative", self.drain_ms)
        check_quotas(self.quotas)
        self._check_data()
        self.tls()
        if not self.allow_remote and not is_loopback(self.host):
            raise InvalidParameter(
                "host",
                f"{self.host} can be reached from other machines, and eventcore does not check who "
                "calls. Use 127.0.0.1, or allow it with --allow-remote-without-authentication",
                self.host,
            )

    def tls(self) -> ssl.SSLContext | None:
        """What the port speaks TLS with; None for plain HTTP. Raises InvalidParameter."""
        if self.tls_certificate is None and self.tls_key is None:
            return None
        if self.tls_certificate is None or self.tls_key is None:
            missing = "tls_certificate" if self.tls_certificate is None else "tls_key"
            raise InvalidParameter(missing, "a certificate and its key are given together")
        from eventcore.server.tls import tls_context  # noqa: PLC0415  (see the file's rules)

        return tls_context(self.tls_certificate, self.tls_key)

    def _check_data(self) -> None:
        """A file that somebody named by mistake is never opened, let alone written to."""
        if self.store_path() is None or self.data is None:
            return
        data = Path(self.data)
        if data.exists() and not data.is_dir() and data.suffix != DATA_SUFFIX:
            raise InvalidParameter(
                "data", f"{data} is neither a directory nor a file that ends in .db", self.data
            )


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run_daemon(config: ServeConfig, on_listening: OnListening | None = None) -> None:
    """Runs `serve` on uvloop, where there is one, until a signal ends it. Raises as `serve`."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(config, on_listening))


async def serve(config: ServeConfig, on_listening: OnListening | None = None) -> None:
    """Serves until SIGTERM or SIGINT (or cancellation), then drains.

    Raises InvalidParameter for a bad configuration, StoreError when the file cannot be opened,
    OSError when the address cannot be had.
    """
    began_ns = time.monotonic_ns()
    config.check()
    from eventcore.runtime import telemetry  # noqa: PLC0415  (see the file's rules)
    from eventcore.runtime.engine import Engine  # noqa: PLC0415
    from eventcore.stores.factory import store_for  # noqa: PLC0415

    log = telemetry.logger_of("eventcore.daemon")
    path = config.store_path()
    if path is not None:
        _make_directory(Path(path).parent)
    async with _stop_signals() as stop:
        store = store_for(path, config.durability, config.committer)
        engine = Engine(
            store,
            quotas=quotas_with(config.strictness, config.quotas),
            connectors=_connectors(config),
        )
        await _start(engine)
        try:
            await _make_functions(config, engine)
            server = await _listen(config, engine)
        except BaseException:
            await engine.close()
            raise
        url = _url(config, server.port)
        engine.functions.endpoint_url = url
        log.info(
            telemetry.DAEMON_STARTED,
            url=url,
            data=path or "memory",
            durability="memory" if path is None else config.durability,
            start_ms=(time.monotonic_ns() - began_ns) // 1_000_000,
        )
        if on_listening is not None:
            on_listening(url)
        try:
            await stop.wait()
        finally:
            log.info(telemetry.DAEMON_DRAINING, connections=server.connections)
            with anyio.CancelScope(shield=True):
                cut = await _drain(engine, server, stop, config.drain_ms)
            log.info(telemetry.DAEMON_STOPPED, connections_cut=cut)


async def _start(engine: Engine) -> None:
    """Starts the engine; while its writer process boots, this one imports the API (70 ms)."""
    starting = asyncio.ensure_future(engine.start())
    await asyncio.sleep(0)
    import eventcore.api.dispatch  # noqa: PLC0415
    import eventcore.server.doors  # noqa: F401, PLC0415

    await starting


def _connectors(config: ServeConfig) -> Connectors:
    from eventcore.functions.function_spec import KIND_HTTP  # noqa: PLC0415
    from eventcore.runtime.connectors import Connectors  # noqa: PLC0415

    urls = [c.handler for c in config.functions.values() if c.kind == KIND_HTTP]
    return Connectors(options={url: {"allow_private": "true"} for url in urls})


async def _make_functions(config: ServeConfig, engine: Engine) -> None:
    """Has the configured functions be there. Raises what their creation raises."""
    if not config.functions:
        return
    engine.begin()
    for name, function in config.functions.items():
        engine.functions.ensure(function_arn(DEFAULT_ACCOUNT, DEFAULT_REGION, name), function)
    barrier = engine.barrier()
    if barrier is not None:
        await barrier


async def _listen(config: ServeConfig, engine: Engine) -> HttpServer:
    from eventcore.api.dispatch import Dispatcher  # noqa: PLC0415
    from eventcore.server.doors import with_doors  # noqa: PLC0415
    from eventcore.server.health import with_health  # noqa: PLC0415
    from eventcore.server.listener import HttpServer  # noqa: PLC0415

    dispatch = with_doors(Dispatcher(engine), engine)
    server = HttpServer(with_health(dispatch, lambda: engine.is_ready))
    await server.start(config.host, config.port, config.tls())
    return server


async def _drain(engine: Engine, server: HttpServer, stop: _StopRequests, drain_ms: int) -> int:
    """Answers what runs, closes the store; returns how many connections were cut.

    Giving up on the store loses nothing that was acknowledged: the unanswered stays unanswered.
    """
    hurry: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    stop.on_repeat = lambda: _finish(hurry)
    server.stop_accepting()
    ending = asyncio.gather(server.drain(drain_ms), engine.close())
    ends: set[asyncio.Future[Any]] = {ending, hurry}
    await asyncio.wait(
        ends,
        timeout=(drain_ms + STORE_CLOSE_MS_MAX) / 1_000,
        return_when=asyncio.FIRST_COMPLETED,
    )
    if ending.done():
        return ending.result()[0]
    cut = server.cut()
    ending.cancel()
    await asyncio.wait({ending}, timeout=1)
    return cut


@final
class _StopRequests:
    """Signals that ask for the end. The first one is waited for; later ones call `on_repeat`."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self.on_repeat: Callable[[], None] = _nothing

    def note(self) -> None:
        """A signal came."""
        if self._event.is_set():
            self.on_repeat()
        self._event.set()

    async def wait(self) -> None:
        """Returns after the first signal."""
        await self._event.wait()


@contextlib.asynccontextmanager
async def _stop_signals() -> AsyncIterator[_StopRequests]:
    """Watches for SIGTERM and SIGINT.

    On Windows the loop cannot: there Ctrl-C cancels `serve`, which drains as well.
    """
    stop = _StopRequests()
    if sys.platform == "win32":
        yield stop
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        watcher = asyncio.ensure_future(_watch(signals, stop))
        try:
            yield stop
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher


async def _watch(signals: AsyncIterator[signal.Signals], stop: _StopRequests) -> None:
    async for _ in signals:
        stop.note()


def _make_directory(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)


def _url(config: ServeConfig, port: int) -> str:
    scheme = "http" if config.tls_certificate is None else "https"
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{scheme}://{host}:{port}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _nothing() -> None:
    pass
