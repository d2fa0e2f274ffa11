"""Kernels that start at once: forks of a process that has imported TensorFlow already.

Each notebook still has a process of its own, in which nothing has run but the imports
below; they take eight seconds of CPU, once for each worker in place of each notebook.
"""

import functools
import gc
import json
import os
import subprocess
import sys
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from typing import IO, Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from jupyter_client.provisioning.factory import EntryPoint

IMPORTED = ["aeon.datasets", "ipykernel.kernelapp", "keras", "matplotlib.pyplot"]


def use_forked_kernels() -> None:
    """Let every kernel that this process starts be a fork, where forks are safe."""
    if sys.platform != "linux":
        return
    get_context("forkserver").set_forkserver_preload(IMPORTED)
    factory = KernelProvisionerFactory.instance()
    factory.provisioners["forked"] = EntryPoint(
        "forked", f"{__name__}:ForkedProvisioner", factory.GROUP_NAME
    )
    factory.default_provisioner_name = "forked"


class ForkedProvisioner(LocalProvisioner):
    """Starts a kernel as a fork; all else is as for a command."""

    async def launch_kernel(
        self, cmd: list[str], **kwargs: Any
    ) -> KernelConnectionInfo:
        """Start the kernel that the command would start."""
        cwd, env = kwargs.get("cwd") or os.getcwd(), kwargs["env"]
        options = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = Fork(target=_run, args=(options, _fresh_path(), env, cwd))
        self.process.start()
        self.pid = self.pgid = self.process.pid
        self.cwd = cwd
        return self.connection_info


class Fork(ForkServerProcess):
    """A process with the methods of `subprocess.Popen` that Jupyter calls."""

    stdin: IO | None = None
    stdout: IO | None = None
    stderr: IO | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self.exitcode

    def wait(self) -> int | None:
        """Return the exit code once it has ended."""
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, as to interrupt it."""
        os.kill(self.pid, number)


@functools.cache
def _fresh_path() -> list[str]:
    """Return where a new process looks for modules: pytest has added to its own."""
    code = "import json, sys; print(json.dumps(sys.path))"
    return json.loads(subprocess.check_output([sys.executable, "-c", code]))


def _run(options: list[str], path: list[str], env: dict[str, str], cwd: str) -> None:
    """Be a kernel, alone in a group of processes, as silent as nbval asks for."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:] = path
    sys.argv = ["ipykernel_launcher", *options]
    import matplotlib
    import pandas
    from ipykernel.kernelapp import launch_new_instance

    # What both would have found in a kernel at their import.
    matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"
    pandas.set_option("display.max_columns", 20)
    gc.freeze()  # it need not look through what was imported, again and again
    launch_new_instance()
