"""torchvision imported without torch's compiler: it works, and so does the compiler once somebody wants it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
IMPORT = """
import sys
from schemas.compiler_stand_in import compiler_left_out
with compiler_left_out():
    import torchvision
assert "torch._dynamo" not in sys.modules
import torch
"""
AFTERWARDS = {
    "what torchvision took does what the real one does": """
taken = sys.modules["torchvision.ops.roi_align"].is_compile_supported
told = [taken(device) for device in ("cpu", "meta")]
from torch._dynamo.utils import is_compile_supported
assert taken is not is_compile_supported
assert told == [is_compile_supported("cpu"), is_compile_supported("meta")] == [True, False]
""",
    "an operator of torchvision's": """
boxes = [torch.tensor([[0.0, 0.0, 4.0, 4.0]])]
pooled = torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), boxes, 2)
assert pooled.tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]
""",
    "a function is compiled": """
doubled = torch.compile(lambda x: x * 2, backend="eager")
assert doubled(torch.ones(2)).tolist() == [2.0, 2.0]
assert sys.modules["torch._dynamo"].__file__
""",
    "the compiler is wanted while it is left out": """
for name in [name for name in sys.modules if name.startswith("torchvision")]:
    del sys.modules[name]
with compiler_left_out():
    import torch._dynamo
    assert torch._dynamo.config.cache_size_limit
    from torch._dynamo.eval_frame import OptimizedModule
assert sys.modules["torch._dynamo"].OptimizedModule is OptimizedModule
""",
}


@pytest.mark.parametrize("wanted", AFTERWARDS)
def test_what_comes_after(wanted: str) -> None:
    code = IMPORT + AFTERWARDS[wanted]
    run = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
