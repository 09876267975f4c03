"""`greenlight up` serves, and leaves no worker behind when it is told to end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_up_serves_and_takes_its_workers_with_it(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"GREENLIGHT_DATA_DIR": str(tmp_path), "GREENLIGHT_PORT": str(port)}
    code = "from api.cli import main; main()"
    up = subprocess.Popen(
        [sys.executable, "-c", code, "up"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert _healthy(port)
        workers = psutil.Process(up.pid).children()
        assert any("pipeline.worker" in " ".join(worker.cmdline()) for worker in workers)
        up.send_signal(signal.SIGTERM)
        assert up.wait(40) == 0
        gone, alive = psutil.wait_procs(workers, timeout=10)
        assert (len(gone), alive) == (len(workers), [])
    finally:
        up.kill()
        up.wait()


def _healthy(port: int) -> bool:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz").text == "ok"
        except httpx.TransportError:
            time.sleep(0.2)
    return False
