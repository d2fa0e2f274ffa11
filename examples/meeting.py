"""Workers meet before they train: all there, all alike, or a message that says who not.

Frameworks wait long for a worker that never comes, and train on with one that has other
versions or other files. A meeting takes a second and needs Python alone.
"""

import json
import os
import socket
import threading
import time
from contextlib import ExitStack, suppress


class MeetingError(RuntimeError):
    """Who did not come, or came with something else."""


def meet(rank, workers, address, card, seconds):
    """Return when all workers are there with the same card, a dictionary.

    Worker 0 listens at the address "host:port", the others call it. Raises
    MeetingError, on all who came, with what is wrong, after so many seconds at most.
    """
    host, port = address.rsplit(":", 1)
    deadline = time.monotonic() + seconds
    card = json.loads(json.dumps(card))  # as it arrives elsewhere
    if rank:
        verdict = call(rank, workers, (host, int(port)), card, deadline, seconds)
    else:
        verdict = receive(workers, int(port), card, deadline, seconds)
    if verdict:
        raise MeetingError(verdict)


def receive(workers, port, card, deadline, seconds):
    """Let the others come, and tell them all what is wrong, or nothing."""
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        return (
            f"Worker 0 can't listen on port {port}: {error.strerror}. Another run may "
            "still use it: end that, or take another port for COORDINATOR."
        )
    came, lines, verdict = {0: card}, [], ""
    with ExitStack() as closing:
        closing.enter_context(server)
        while len(came) < workers and not verdict:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                caller = closing.enter_context(server.accept()[0])
                caller.settimeout(5)
                line = closing.enter_context(caller.makefile("rw"))
            except TimeoutError:
                missing = [rank for rank in range(workers) if rank not in came]
                verdict = (
                    f"Of {workers} workers {missing} did not come within {seconds} s. "
                    "Look at their output, and whether they reach worker 0."
                )
                continue
            try:
                other, theirs = json.loads(line.readline())
            except (ValueError, OSError):
                continue  # not one of ours
            lines.append(line)
            verdict = compare(other, theirs, came, workers)
            came[other] = theirs
        for line in lines:
            with suppress(OSError):  # that one is gone: the next step will tell
                print(json.dumps(verdict), file=line, flush=True)
    return verdict


def compare(rank, theirs, came, workers):
    """Return what is wrong with a worker that came, or nothing."""
    if rank in came or not 0 <= rank < workers:
        return f"Worker {rank} came twice, or is not one of {workers}: look at RANK."
    for what, mine in came[0].items():
        if theirs.get(what) != mine:
            return (
                f"Worker {rank} has {what} {theirs.get(what)}, worker 0 has {mine}. "
                "All workers need the same versions, files and settings."
            )
    return ""


def call(rank, workers, place, card, deadline, seconds):
    """Go to worker 0, and return what it finds wrong."""
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(place, timeout=1) as to_worker_0:
                to_worker_0.settimeout(max(deadline - time.monotonic(), 0) + 5)
                with to_worker_0.makefile("rw") as line:
                    print(json.dumps([rank, card]), file=line, flush=True)
                    return json.loads(line.readline())
        except (OSError, ValueError):
            time.sleep(0.1)  # not there yet, or gone again
    return (
        f"Worker {rank} of {workers} did not reach worker 0 at {place[0]}:{place[1]} "
        f"within {seconds} s. Is it started, and the port open to this machine?"
    )


class Patience:
    """End this process with a message if nobody says `wait` for so many seconds."""

    def __init__(self, seconds, message):
        self.seconds, self.message, self.timer = seconds, message, None

    def wait(self):
        """Begin to count anew."""
        self.stop()
        self.timer = threading.Timer(self.seconds, self.end)
        self.timer.daemon = True
        self.timer.start()

    def stop(self):
        """Count no longer."""
        if self.timer:
            self.timer.cancel()

    def end(self):
        """End at once: a wait for others can't be interrupted in another way."""
        print(self.message, flush=True)
        os._exit(1)
