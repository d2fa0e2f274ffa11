"""Workers meet, or each of them hears in time who is not there or not alike."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from launch import free_port
from meeting import MeetingError, meet

from . import EXAMPLES

CARD = {"keras": "3.15.1", "samples in shards": [4, 4], "epochs done": 0}


def meeting(cards, workers=None, seconds=10):
    """Let workers with these cards meet; return what each is told."""
    address = f"127.0.0.1:{free_port()}"

    def attend(rank):
        try:
            meet(rank, workers or len(cards), address, cards[rank], seconds)
        except MeetingError as error:
            return str(error)
        return "met"

    with ThreadPoolExecutor(len(cards)) as pool:
        return list(pool.map(attend, range(len(cards))))


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_all_meet(workers):
    assert meeting([CARD] * workers) == ["met"] * workers


@pytest.mark.parametrize(
    ("what", "theirs", "said"),
    [
        ("keras", "3.14.0", "Worker 1 has keras 3.14.0, worker 0 has 3.15.1"),
        ("samples in shards", [4, 3], r"in shards \[4, 3\], worker 0 has \[4, 4\]"),
        ("epochs done", 2, "Worker 1 has epochs done 2, worker 0 has 0"),
    ],
)
def test_one_that_is_not_alike_is_named_to_both(what, theirs, said):
    told = meeting([CARD, CARD | {what: theirs}])
    assert told[0] == told[1]
    with pytest.raises(MeetingError, match=said):
        raise MeetingError(told[0])


def test_one_that_never_comes_is_named_to_all_in_time():
    start = time.monotonic()
    told = meeting([CARD, CARD], workers=3, seconds=1)
    assert told[0] == told[1]
    assert told[0].startswith("Of 3 workers [2] did not come within 1 s.")
    assert time.monotonic() - start < 30  # and no silent hang


def test_without_worker_0_the_others_say_so():
    with pytest.raises(MeetingError, match="did not reach worker 0 .* within 1 s"):
        meet(1, 2, f"127.0.0.1:{free_port()}", CARD, 1)


def test_a_port_in_use_is_named():
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MeetingError, match=f"can't listen on port {port}"):
            meet(0, 2, f"127.0.0.1:{port}", CARD, 1)


def test_a_stranger_does_not_disturb():
    address = f"127.0.0.1:{free_port()}"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(meet, 0, 2, address, CARD, 10)
        place = ("127.0.0.1", int(address.split(":")[1]))
        while True:
            try:
                with socket.create_connection(place) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1\n")
                break
            except OSError:
                time.sleep(0.01)
        meet(1, 2, address, CARD, 10)
        first.result()


def test_the_same_rank_twice_is_refused():
    address = f"127.0.0.1:{free_port()}"
    with ThreadPoolExecutor(3) as pool:
        ranks = (0, 1, 1)
        all_met = [pool.submit(meet, rank, 3, address, CARD, 10) for rank in ranks]
        for each in all_met:
            with pytest.raises(MeetingError, match="came twice"):
                each.result()


# --- The launcher ---------------------------------------------------------------------


def launch(tmp_path, code, *options):
    """Start a small script as two workers; return its exit code and what it printed."""
    script = tmp_path / "script.py"
    script.write_text(f"import os, signal, time\nrank = os.environ['RANK']\n{code}")
    command = [sys.executable, EXAMPLES / "launch.py", *options, "2", script, "--word"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    return ran.returncode, ran.stdout


def test_each_worker_is_told_who_it_is(tmp_path):
    word = "f'{rank} {os.environ[\"WORLD\"]} {sys.argv[1:]}\\n'"
    code = f"import sys; sys.stdout.write({word})"  # in one piece
    ended, printed = launch(tmp_path, code)
    assert ended == 0
    assert sorted(printed.splitlines()) == ["0 2 ['--word']", "1 2 ['--word']"]


def test_one_that_is_killed_takes_the_others_along(tmp_path):
    code = "if rank == '1': os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(3_600)"
    patched = EXAMPLES.joinpath("launch.py").read_text().replace("grace=10", "grace=0")
    (tmp_path / "launch.py").write_text(patched)
    (tmp_path / "script.py").write_text(
        f"import os, signal, time\nrank = os.environ['RANK']\n{code}"
    )
    command = [sys.executable, tmp_path / "launch.py", "2", tmp_path / "script.py"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "Worker 1 died. Restarts left: 0." in ran.stdout


def test_all_start_again(tmp_path):
    code = (
        "if rank == '1' and not os.path.exists('died'):\n"
        "    open('died', 'w').close()\n"
        "    os._exit(3)\n"
        "print(f'end {rank}\\n', end='', flush=True)"
    )
    ended, printed = launch(tmp_path, code, "--restarts", "1")
    assert ended == 0
    assert "Worker 1 died. Restarts left: 1." in printed
    assert printed.count("end 1") == 1


def test_a_worker_that_hangs_ends_with_a_message():
    code = (
        "from meeting import Patience; import time; "
        "Patience(0.2, 'No step ended.').wait(); time.sleep(3_600)"
    )
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES)}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "No step ended.\n")
