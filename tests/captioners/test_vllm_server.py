"""What a user is told whose vLLM cannot be started. A server that runs is a matter of its environment."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from captioners.vllm_server import VllmOptions, VllmServer
from schemas.refusal import JobFailed, Refusal


def test_a_python_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="there is no program '/nowhere/python'; name a Python that has vLLM"):
        VllmOptions(model=str(tmp_path), python="/nowhere/python").check()


def test_a_python_without_vllm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="has no vLLM"):
        VllmOptions(model=str(tmp_path)).check()


@pytest.mark.parametrize("name", ["vllm.log", None])
def test_a_server_that_ends_at_once_is_a_failure_with_its_last_words(tmp_path: Path, name: str | None) -> None:
    log = None if name is None else str(tmp_path / name)
    server = VllmServer(VllmOptions(model=str(tmp_path), python=sys.executable, log=log))
    place = "" if log is None else r" \(see .*vllm.log\)"
    with pytest.raises(JobFailed, match=rf"vLLM ended before it answered: .*No module named 'vllm'\)?{place}$"):
        asyncio.run(server.start())
    server.stop()
    assert server.pid is None
