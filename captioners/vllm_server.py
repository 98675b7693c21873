"""A vLLM server of our own: started in a process of its own, watched, started again when it dies, stopped at the end.

In: a model's folder or name, the Python that has vLLM (an environment of its own, since vLLM and Beam do not go
together), options. Out: the base URL of its OpenAI-compatible API, once it answers. It listens on this machine alone,
fetches nothing (offline unless the model is a hub's name and that is allowed), and ends with the process that started
it, however that one ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from captioners.key import without_key
from schemas.refusal import JobFailed, Refusal

SERVED_NAME = "pairmill"
_LAST_WORDS = 4000
# What is said by us alone: where it listens, that no code of a model's is run and nothing is unpickled.
_OURS = frozenset(
    ("--model", "--served-model-name", "--host", "--port", "--api-key", "--trust-remote-code", "--load-format")
)
# On a CPU, vLLM takes nine tenths of the machine's memory otherwise, which it shares with workers. In GiB.
_DEFAULTS = {"VLLM_CPU_KVCACHE_SPACE": "4"}
_WHY = "the server listens here alone, under a name of ours, reads safetensors, and runs no code of a model's"


@dataclass(frozen=True)
class VllmOptions:
    """python: the interpreter of the environment that holds vLLM; ours by default.

    arguments: further ones of vLLM's server, such as `--max-model-len=2048`. start_timeout: seconds until it must
    answer. restarts: how often one that died is started again. log: the file that gets what it says.
    """

    model: str
    python: str = sys.executable
    arguments: tuple[str, ...] = ()
    start_timeout: float = 900.0
    restarts: int = 3
    log: str | None = None
    offline: bool = True

    def check(self) -> None:
        """Raises Refusal where there is no such interpreter, no vLLM in it, or an argument that is not to be given."""
        self.check_arguments()
        if shutil.which(self.python) is None:
            raise Refusal(f"captioner vllm: there is no program {self.python!r}; name a Python that has vLLM")
        find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
        if subprocess.run([self.python, "-c", find], check=False, capture_output=True).returncode != 0:
            raise Refusal(f"captioner vllm: {self.python!r} has no vLLM; make an environment with deploy/make_vllm.sh")

    def check_arguments(self) -> None:
        for argument in self.arguments:
            if argument.split("=")[0].replace("_", "-") in _OURS:
                raise Refusal(f"captioner vllm: {argument.split('=')[0]} is not for `arguments`: {_WHY}")


class VllmServer:
    """One server process. `url` answers between `start` and `stop`."""

    def __init__(self, options: VllmOptions) -> None:
        self.options = options
        self.restarted = 0
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    async def start(self) -> None:
        """Returns once the server is healthy. Raises JobFailed with its last words when it ends, or is too slow."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        self._process = self._run(port)
        try:
            await asyncio.wait_for(self._until_healthy(port), self.options.start_timeout)
        except asyncio.TimeoutError:
            words = self._last_words()
            self.stop()
            raise JobFailed(f"vLLM did not answer in {self.options.start_timeout:g} s{words}") from None

    async def revive(self) -> bool:
        """Starts the server again where its process has ended; whether that was needed.

        Raises JobFailed when it has died too often.
        """
        if self._process is not None and self._process.poll() is None:
            return False
        if self.restarted >= self.options.restarts:
            raise JobFailed(f"vLLM died {self.restarted + 1} times{self._last_words()}")
        self.restarted += 1
        self.stop()
        await self.start()
        return True

    def stop(self) -> None:
        """Ends the server and all that it started; nothing where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._log is not None:
            self._log.close()
            self._log = None
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(timeout=10)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def _run(self, port: int) -> subprocess.Popen[bytes]:
        command = [
            *_tie(),
            *(self.options.python, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", self.options.model, "--served-model-name", SERVED_NAME),
            *("--host", "127.0.0.1", "--port", str(port)),
            # Requests say how to decode; what a model's folder recommends plays no part.
            *("--load-format", "safetensors", "--generation-config", "vllm"),
            *self.options.arguments,
        ]
        environment = {**_DEFAULTS, **without_key(os.environ), "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        if self.options.offline:
            environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        # Without a name, what it says is kept for its last words, and gone with them.
        log = self.options.log
        self._log = tempfile.TemporaryFile() if log is None else open(log, "ab+")  # noqa: SIM115 - closed by `stop`
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    async def _until_healthy(self, port: int) -> None:
        import aiohttp

        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5), trust_env=False) as session:
            while True:
                if self._process is None or self._process.poll() is not None:
                    raise JobFailed(f"vLLM ended before it answered{self._last_words()}")
                try:
                    async with session.get(f"http://127.0.0.1:{port}/health") as response:
                        if response.status == 200:
                            return
                except (aiohttp.ClientError, asyncio.TimeoutError):
                    pass  # not yet listening
                await asyncio.sleep(0.25)

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        file = self._log.fileno()
        length = os.fstat(file).st_size
        said = os.pread(file, _LAST_WORDS, max(0, length - _LAST_WORDS)).decode(errors="replace").splitlines()
        errors = [line for line in said if "Error" in line or "error" in line]
        place = f" (see {self.options.log})" if self.options.log is not None else ""
        return f": {(errors or said or [''])[-1].strip()[:300]}{place}"


def _tie() -> list[str]:
    """What ends the server with the thread that started it, where the system has it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
