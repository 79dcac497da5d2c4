"""tools/flags_doc.py as a module; tools/ is no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

TOOL = Path(__file__).parents[2] / "tools" / "flags_doc.py"


def load() -> Any:
    """The tool, loaded anew."""
    spec = importlib.util.spec_from_file_location("flags_doc", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
