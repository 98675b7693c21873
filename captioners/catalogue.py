"""What captioners there are, as people read it: engines with their options, prompts with their sources.

In: nothing, or the name of an engine or a prompt. Out: lines.
"""

from __future__ import annotations

import textwrap

from captioners.engines import ENGINES, EngineKind, Option
from captioners.prompts import PLACEHOLDERS, Prompt, shipped_prompts
from schemas.refusal import unknown

_WIDTH = 118


def catalogue() -> list[str]:
    """A line an engine, and a line a prompt: its name, whether it comes with the picture, and where it is from."""
    prompts = shipped_prompts().values()
    width = max(len(name) for name in [*ENGINES, *(prompt.id for prompt in prompts)])
    return [
        "engines (a recipe's `engine`; options are given at launch, by --captioner):",
        *(f"  {name:<{width}}  {kind.summary}" for name, kind in ENGINES.items()),
        "",
        "prompts (a recipe's `prompt`, or its own under `prompts`):",
        *(f"  {prompt.id:<{width}}  {_seen(prompt)}  {_origin(prompt)}" for prompt in prompts),
    ]


def describe(name: str) -> list[str]:
    """One engine or prompt, whole. Raises Refusal."""
    if name in ENGINES:
        return _engine_lines(name, ENGINES[name])
    prompt = shipped_prompts().get(name.partition("@")[0])
    if prompt is None or name not in (prompt.name, prompt.id):
        raise unknown("captioner", name, [*ENGINES, *shipped_prompts()])
    return _prompt_lines(prompt)


def _engine_lines(name: str, kind: EngineKind) -> list[str]:
    width = max(map(len, kind.options))
    prompt = "with a prompt, of the recipe's" if kind.takes_prompt else "without a prompt"
    return [
        f"engine {name}: {kind.summary}",
        f"  asked {prompt}",
        f"  model: {kind.models}",
        "  options:",
        *(f"    {key:<{width}}  {option.doc}{_default(option)}" for key, option in kind.options.items()),
        f"  such as: --captioner '*={{engine: {name}, {_example(kind)}}}'",
    ]


def _prompt_lines(prompt: Prompt) -> list[str]:
    lines = [f"prompt {prompt.id}: {'with' if prompt.image else 'without'} the picture", f"  source: {prompt.source}"]
    if prompt.evidence is not None:
        lines.append(f"  its words were read: {prompt.evidence}")
    if prompt.approximate is not None:
        lines.append(f"  approximate: {prompt.approximate}")
    lines += [f"  {{{name}}}: {PLACEHOLDERS[name]}" for name in prompt.placeholders]
    for kind, text in (("system", prompt.system), ("text", prompt.text)):
        if text is not None:
            lines += [f"  {kind}:", *_wrapped(text)]
    return lines


def _wrapped(text: str) -> list[str]:
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(
            paragraph, _WIDTH, initial_indent="    ", subsequent_indent="    ", drop_whitespace=bool(paragraph.strip())
        )
        or [""]
    ]


def _seen(prompt: Prompt) -> str:
    return "picture" if prompt.image else "text   "


def _origin(prompt: Prompt) -> str:
    if prompt.evidence is not None:
        return f"{prompt.source} {prompt.evidence}"
    return f"{prompt.source}{' (approximate)' if prompt.approximate else ''}"


def _default(option: Option) -> str:
    if option.default in (None, ()):
        return ""
    choices = f"one of {', '.join(option.one_of)}; " if option.one_of else ""
    return f" ({choices}default {option.default})"


def _example(kind: EngineKind) -> str:
    given = {
        "device": "device: cpu",
        "python": "python: .vllm/bin/python, log: vllm.log",
        "urls": "model: NAME, urls: [http://127.0.0.1:8000/v1]",
    }
    return given[next(iter(kind.options))]
