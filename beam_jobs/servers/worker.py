"""A worker process of Beam's Python SDK where there is no container: what PROCESS and EXTERNAL environments start.

In: the arguments that a runner gives a container's entry point. Out: an SDK harness in this process, which works
until the runner is done with it, and ends with the process that started it.

    pairmill-worker --id=... --provision_endpoint=HOST:PORT ...
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

_SECONDS_TO_ANSWER = 60
_SECONDS_BETWEEN_LOOKS = 1.0


def worker_environment(worker_id: str, info: Any, *, folder: str) -> Mapping[str, str]:
    """What the SDK harness reads: where the runner is, and the pipeline's options."""
    from google.protobuf import json_format, text_format

    found = {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "SEMI_PERSISTENT_DIRECTORY": folder,
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
    }
    if info.status_endpoint.url:
        found["STATUS_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(info.status_endpoint)
    return found


def fetch_provision(endpoint: str, worker_id: str) -> Any:
    """What the runner tells a worker that it has asked for."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc

    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        answer = stub.GetProvisionInfo(
            request, metadata=[("worker_id", worker_id)], timeout=_SECONDS_TO_ANSWER, wait_for_ready=True
        )
        return answer.info


def end_with(parent: int) -> None:
    """Watches from a thread: a worker whose runner was killed must not go on writing."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, name="end_with_parent", daemon=True).start()


def main(argv: Sequence[str] | None = None) -> int:
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="pairmill-worker", description=__doc__)
    parser.add_argument("--id", required=True, help="the worker's name, given by the runner")
    parser.add_argument("--provision_endpoint", required=True, metavar="HOST:PORT", help="where the runner tells more")
    parser.add_argument("--semi_persist_dir", default=tempfile.gettempdir(), help="for files of this machine")
    given, _ = parser.parse_known_args(argv)
    end_with(parent)
    # A worker pool never reads what its workers print: a full pipe would stop them.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    info = fetch_provision(given.provision_endpoint, given.id)
    os.environ.update(worker_environment(given.id, info, folder=given.semi_persist_dir))
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])
    return 0


if __name__ == "__main__":
    sys.exit(main())
