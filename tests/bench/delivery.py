"""How fast the whole `digest run` delivers, beside Postfix's smtp-source and beside smtplib; how much it takes.

    python -m tests.bench.delivery [--messages 10000] [--rounds 3] [--connections 4]

smtp-sink and smtp-source are Debian's package postfix; nothing of it needs to be configured or running.
"""

import argparse
import asyncio
import cProfile
import io
import json
import os
import pstats
import re
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
DAY = "2026-04-20"
PAPERS = 46  # as many as make a message of about 60 KB
LATENCY = 0.020
TOOLS = "/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def sink() -> Iterator[int]:
    """A running smtp-sink; its port."""
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    words = [str(shutil.which("smtp-sink", path=TOOLS)), *user, f"127.0.0.1:{port}", "1000"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("smtp-sink does not start")


@contextmanager
def far_away(port: int) -> Iterator[int]:
    """A door to the server at `port` whose every answer takes LATENCY longer; its port."""
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    started = threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(lambda r, w: join(r, w, port), "127.0.0.1", 0)
        ready.append(server.sockets[0].getsockname()[1])
        started.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()

    threading.Thread(target=work, daemon=True).start()
    started.wait()
    yield ready[0]
    loop.call_soon_threadsafe(loop.stop)


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    loop = asyncio.get_running_loop()

    def late(data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data) if data else writer.close()

    async def answers() -> None:
        while data := await there.read(65536):
            loop.call_later(LATENCY, late, data)
        loop.call_later(LATENCY, late, b"")

    answering = loop.create_task(answers())
    try:
        while data := await reader.read(262144):
            back.write(data)
            await back.drain()
        back.close()
        await answering
    except OSError:
        back.close()


@dataclass(frozen=True)
class Run:
    """One `digest run`: seconds, seconds of CPU, peak memory in MB, database bytes a subscriber, bytes of a message."""

    seconds: float
    cpu: float
    memory: float
    database: float
    size: int


def prepare(folder: Path, port: int, messages: int, connections: int) -> Path:
    rows = (
        {
            "id": f"arxiv:2604.{n:05}",
            "title": f"Paper number {n} on a subject of some width and of some depth",
            "abstract": "Language models with long memories surprise whoever measures them in earnest. " * 9,
            "authors": [f"First{i} Surname{n}" for i in range(6)],
            "upvotes": 200 - n,
        }
        for n in range(2 * PAPERS)
    )
    (folder / "papers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    readers = json.dumps([f"reader{n:06}@example.org" for n in range(messages)])
    (folder / "config.toml").write_text(
        f'[digest]\nfrom = "Paper Digest <digest@example.org>"\nmax_papers = {PAPERS}\nto = {readers}\n'
        '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n'
        f'[smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nconnections = {connections}\n'
    )
    return folder / "config.toml"


def digest(port: int, messages: int, connections: int) -> Run:
    with tempfile.TemporaryDirectory() as name:
        config = prepare(Path(name), port, messages, connections)
        words = [sys.executable, "-m", "digest", "-q", "-c", str(config), "run", "--date", DAY]
        begun = time.perf_counter()
        process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"digest run ended with {process.returncode}")
        database = sum(path.stat().st_size for path in Path(name).glob("history.db*"))
        preview = [
            *words[:6],
            "preview",
            "--date",
            DAY,
            "--format",
            "eml",
            "-o",
            "-",
            "--to",
            "reader000001@example.org",
        ]
        size = len(subprocess.check_output(preview, env={**os.environ, "PYTHONPATH": str(ROOT)}))
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, database / messages, size)


def source(port: int, messages: int, size: int, connections: int) -> float:
    words = [str(shutil.which("smtp-source", path=TOOLS)), "-s", str(connections), "-m", str(messages), "-l", str(size)]
    begun = time.perf_counter()
    subprocess.check_call([*words, "-f", "digest@example.org", "-t", "reader@example.org", f"127.0.0.1:{port}"])
    return time.perf_counter() - begun


def by_smtplib(port: int, messages: int, size: int, connections: int) -> float:
    """As many connections, each in a thread of its own, one `sendmail` after the other."""
    body = (b"x" * 76 + b"\r\n") * (size // 78)

    def work(count: int) -> None:
        with smtplib.SMTP("127.0.0.1", port) as session:
            for _ in range(count):
                session.sendmail("digest@example.org", ["reader@example.org"], body)

    begun = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(work, [messages // connections] * connections))
    return time.perf_counter() - begun


def where_the_time_goes(port: int, messages: int, connections: int) -> str:
    """The functions that cost most, in one run in this process under cProfile, which itself doubles the time."""
    from click.testing import CliRunner

    from digest.cli import main

    with tempfile.TemporaryDirectory() as name:
        config = prepare(Path(name), port, messages, connections)
        profile = cProfile.Profile()
        result = profile.runcall(CliRunner().invoke, main, ["-q", "-c", str(config), "run", "--date", DAY])
        if result.exit_code:
            raise SystemExit(f"digest run ended with {result.exit_code}: {result.output}")
    printed = io.StringIO()
    pstats.Stats(profile, stream=printed).sort_stats("tottime").print_stats(14)
    lines = printed.getvalue().split("percall filename:lineno(function)\n")[1].strip().split("\n")
    total = sum(entry[2] for entry in pstats.Stats(profile).stats.values())  # type: ignore[attr-defined]
    found = (re.match(r"\s*(\S+)\s+(\S+)\s+\S+\s+\S+\s+\S+\s+(.*)", line) for line in lines)
    rows = ((100 * float(m[2]) / total, m[1], re.sub(r".*/(\w+/\w+\.py)", r"\1", m[3])) for m in found if m)
    return "\n".join(f"  {share:4.1f} %  {calls:>10} calls  {what}" for share, calls, what in rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    options.add_argument("--messages", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=4)
    chosen = options.parse_args()
    count, connections = chosen.messages, chosen.connections
    if not shutil.which("smtp-sink", path=TOOLS):
        raise SystemExit("smtp-sink is not installed; on Debian: apt install postfix (it need not run)")
    with sink() as port:
        runs, sources = [], []
        for _ in range(chosen.rounds):
            runs.append(digest(port, count, connections))
            sources.append(source(port, count, runs[-1].size, connections))
        ours, theirs = median(run.seconds for run in runs), median(sources)
        few = min(max(count // 5, 400), 2_000)
        with far_away(port) as door:
            far = digest(door, few, connections)
            plain = by_smtplib(door, few // 4, far.size, connections) * 4
        best = runs[0]
        memory, database = max(run.memory for run in runs), best.database
        print(f"{count:,} messages of {best.size:,} bytes, {connections} connections, median of {chosen.rounds}")
        print(f"  digest run, all of it   {ours:7.2f} s  {count / ours:8,.0f}/s")
        print(f"  CPU                     {1e6 * median(run.cpu for run in runs) / count:7.0f} µs a message")
        print(f"  smtp-source             {theirs:7.2f} s  {count / theirs:8,.0f}/s")
        print(f"  ratio                   {theirs / ours:7.2f}      at least 0.8 is wanted")
        print(f"{few:,} messages through a server that answers after {LATENCY * 1000:.0f} ms")
        print(f"  digest run, all of it   {far.seconds:7.2f} s  {few / far.seconds:8,.0f}/s")
        print(f"  smtplib                 {plain:7.2f} s  {few / plain:8,.0f}/s")
        print(f"  ratio                   {plain / far.seconds:7.2f}      at least 3 is wanted")
        print(f"peak memory               {memory:7.1f} MB     under 100 is wanted")
        print(f"database                  {database:7.0f} bytes a subscriber, under 1,000 is wanted")
        print(f"where the time goes\n{where_the_time_goes(port, count // 2, connections)}")


if __name__ == "__main__":
    main()
