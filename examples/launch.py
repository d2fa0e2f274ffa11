"""Start a script as several workers on this machine, again if one of them dies.

Usage: python launch.py [--restarts N] WORKERS SCRIPT [ARGUMENTS ...]

Each worker gets RANK, WORLD and COORDINATOR, as on a cluster.
"""

import argparse
import os
import socket
import subprocess
import sys
import time


def main(arguments):
    """Run the workers, and return 0 if all of them came to their end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("workers", type=int)
    parser.add_argument("script", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    if given.workers < 1 or not given.script:
        parser.error("expected at least one worker and a script")
    for restart in range(given.restarts + 1):
        failed = run(given.workers, given.script)
        if failed is None:
            return 0
        left = given.restarts - restart
        print(f"Worker {failed} died. Restarts left: {left}.", flush=True)
    return 1


def run(workers, script, grace=10):
    """Run all workers to their end; return the first that failed, or None."""
    address = f"127.0.0.1:{free_port()}"
    names = [{"RANK": str(rank), "WORLD": str(workers)} for rank in range(workers)]
    started = [
        subprocess.Popen(
            [sys.executable, *script], env=os.environ | name | {"COORDINATOR": address}
        )
        for name in names
    ]
    try:
        while True:
            codes = [worker.poll() for worker in started]
            failed = [rank for rank, code in enumerate(codes) if code]
            if failed or None not in codes:
                break
            time.sleep(0.05)
        until = time.monotonic() + grace  # to say why, as the others see it
        while failed and time.monotonic() < until:
            if None not in [worker.poll() for worker in started]:
                break
            time.sleep(0.05)
        # One that was killed failed first; the others tell of its end.
        killed = [rank for rank, worker in enumerate(started) if worker.poll() == -9]
        return (killed or failed or [None])[0]
    finally:
        for worker in started:
            worker.kill()
            worker.wait()


def free_port():
    """Return a port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
