"""Starts the agent: as a package of its own, of a name that no project has.

It may not be imported as a part of migdoctor, which the project's interpreter need not have.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

NAME = "migdoctor_agent"


def started() -> Any:
    """The module `server` of this folder."""
    if NAME not in sys.modules:
        here = Path(__file__).absolute().parent
        spec: Any = importlib.util.spec_from_file_location(
            NAME, str(here / "__init__.py"), submodule_search_locations=[str(here)]
        )
        sys.modules[NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NAME])
    return importlib.import_module(NAME + ".server")


if __name__ == "__main__":
    started().main()
