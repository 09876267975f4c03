"""Real Celery workers over real brokers: messages are only hints, whatever happens to them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from kombu import Connection, Queue
from sqlmodel import col, select

from core.clock import SystemClock
from core.settings import Settings
from core.state import State
from core.store import open_store
from core.tables import AuditEvent, Job, Outbox
from pipeline.intake import Ask, submit
from pipeline.tools import Tools
from tests.conftest import listening
from tests.doubles import add_partner, make_tools

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = "postgresql+psycopg://root@127.0.0.1/test"
BROKERS = {"redis": (6379, "redis://127.0.0.1:6379/0"), "rabbitmq": (5672, "amqp://guest:guest@127.0.0.1//")}
ONCE = ("request:received", "clip:generated", "clip:cleared", "clip:marked", "clip:signed")
ONCE += ("clip:recorded", "clip:released")
PATIENCE = 40.0


@dataclass
class Scale:
    """One installation: a database, a broker with queues of its own, and the processes started for it."""

    folder: Path
    broker: str
    tools: Tools
    prefix: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}.")
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if name != "GREENLIGHT_DATABASE_URL"}
        environment |= {
            "GREENLIGHT_DATA_DIR": str(self.folder),
            "GREENLIGHT_DATABASE_URL": self.tools.settings.database_url,
            "GREENLIGHT_BROKER_URL": self.broker,
            "GREENLIGHT_LEASE_SECONDS": "1.5",
            "TEST_PREFIX": self.prefix,
        }
        command = [sys.executable, "-m", "celery", "-A", "tests.pipeline.celery_app", *arguments]
        with (self.folder / f"{arguments[0]}{len(self.processes)}.log").open("wb") as log:
            started = subprocess.Popen(
                command, cwd=ROOT, env=environment | extra, stdout=log, stderr=subprocess.STDOUT
            )
        self.processes.append(started)
        return started

    def worker(self, queue: str = "cpu", **extra: str) -> subprocess.Popen[bytes]:
        quiet = ("--without-gossip", "--without-mingle")
        return self.start("worker", "-Q", self.prefix + queue, "-l", "info", *quiet, **extra)

    def submit(self, count: int) -> list[str]:
        jobs = []
        with self.tools.store.session() as session:
            for _ in range(count):
                job, _known = submit(session, self.tools, "acme", Ask(prompt="Waves at dawn", seed=1))
                jobs.append(job.id)
            session.commit()
        return jobs

    def send(self, task: str, *arguments: str, queue: str = "cpu", copies: int = 1) -> None:
        from celery import Celery

        with Celery(broker=self.broker) as sender:
            for _ in range(copies):
                sender.send_task(f"greenlight.{task}", args=arguments, queue=self.prefix + queue)

    def purge(self) -> int:
        with Connection(self.broker) as connection:
            return Queue(self.prefix + "cpu", routing_key=self.prefix + "cpu")(connection).purge()

    def states(self, jobs: list[str]) -> set[str]:
        with self.tools.store.reading() as session:
            return set(session.exec(select(Job.state).where(col(Job.id).in_(jobs))))

    def events(self, job: str) -> list[tuple[str, str]]:
        with self.tools.store.reading() as session:
            found = select(AuditEvent.tag, AuditEvent.actor).where(AuditEvent.job == job)
            return list(session.exec(found.order_by(col(AuditEvent.id))))

    def wait_for(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)

    def released(self, jobs: list[str]) -> None:
        """Wait until all are released, and see that nothing on the way happened twice."""
        self.wait_for(lambda: self.states(jobs) == {State.RELEASED})
        for job in jobs:
            tags = [tag for tag, _ in self.events(job)]
            assert [tags.count(tag) for tag in ONCE] == [1] * len(ONCE), tags

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("*.log"))

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with Connection(self.broker) as connection:
            for queue in ("cpu", "gpu"):
                Queue(self.prefix + queue)(connection).delete()


@contextmanager
def schema(name: str) -> Iterator[str]:
    """A schema of its own in the shared test database, as an address."""
    admin = sa.create_engine(POSTGRES)
    with admin.begin() as connection:
        connection.execute(sa.text(f'CREATE SCHEMA "{name}"'))
    yield f"{POSTGRES}?options=-csearch_path%3D{name}"
    with admin.begin() as connection:
        connection.execute(sa.text(f'DROP SCHEMA "{name}" CASCADE'))
    admin.dispose()


@contextmanager
def scale(folder: Path, broker: str, database: str) -> Iterator[Scale]:
    port, address = BROKERS[broker]
    if not listening(port):
        pytest.skip(f"no {broker} on localhost")
    if database == "postgresql" and not listening(5432):
        pytest.skip("no PostgreSQL on localhost")
    with ExitStack() as stack:
        url = ""
        if database == "postgresql":
            url = stack.enter_context(schema(f"scale_{secrets.token_hex(4)}"))
        settings = Settings(data_dir=folder, database_url=url, _env_file=None)
        store = open_store(settings.database)
        stack.callback(store.close)
        tools = make_tools(folder, SystemClock(), store=store)
        settings = tools.settings.model_copy(update={"database_url": url, "broker_url": address})
        tools = replace(tools, settings=settings)
        add_partner(tools.store)
        made = Scale(folder, address, tools)
        stack.callback(made.stop)
        yield made


@pytest.mark.parametrize(("broker", "database"), [("redis", "postgresql"), ("rabbitmq", "sqlite")])
def test_doubled_and_lost_hints_change_nothing(tmp_path: Path, broker: str, database: str) -> None:
    with scale(tmp_path, broker, database) as here:
        lost, doubled = here.submit(2), here.submit(3)
        with here.tools.store.session() as session:
            for row in session.exec(select(Outbox)):
                session.delete(row)
            session.commit()
        for job in lost:
            here.send("advance", job)
        assert here.purge() == len(lost)
        for job in doubled:
            here.send("advance", job, copies=3)
        here.worker(TEST_COPIES="3")
        here.worker(TEST_COPIES="3")
        here.released(doubled)
        # The control: without a hint and without the sweep nobody finds them.
        assert here.states(lost) == {State.RECEIVED}
        here.send("sweep")
        here.released(lost)


@pytest.mark.parametrize(("broker", "database"), [("redis", "sqlite"), ("rabbitmq", "postgresql")])
def test_a_killed_worker_is_recovered_by_lease(tmp_path: Path, broker: str, database: str) -> None:
    with scale(tmp_path, broker, database) as here:
        jobs = here.submit(1)
        victim = here.worker(TEST_STALLS="1")
        here.send("relay")
        here.wait_for(lambda: "in the step" in here.logs())
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        assert here.states(jobs) == {State.ADMITTED}
        heir = here.worker()
        # Its message is lost with the worker; beat lets the sweep find the request when the lease is over.
        here.start("beat", "-s", str(tmp_path / "schedule"), "--pidfile", "")
        here.released(jobs)
        events = here.events(jobs[0])
        assert "job:reclaimed" in [tag for tag, _ in events]
        assert {actor.rpartition(":")[2] for tag, actor in events if tag == "clip:generated"} == {
            str(heir.pid)
        }


def test_only_workers_of_the_gpu_queue_render(tmp_path: Path) -> None:
    with scale(tmp_path, "redis", "sqlite") as here:
        jobs = here.submit(2)
        cpu, gpu = here.worker(TEST_GPU="1"), here.worker("gpu", TEST_GPU="1")
        for job in jobs:
            # Late copies of the first hint find the request waiting for a GPU.
            here.send("advance", job, copies=4)
        here.released(jobs)
        for job in jobs:
            did = {
                tag: int(actor.rpartition(":")[2]) for tag, actor in here.events(job) if "worker:" in actor
            }
            assert did.pop("clip:generated") == gpu.pid
            assert set(did.values()) == {cpu.pid}
