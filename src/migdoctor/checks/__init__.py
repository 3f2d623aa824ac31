"""One file per sickness; dropping a file in here is all it takes to add one."""

import importlib
import pkgutil

from migdoctor.model import Check


def all_checks() -> tuple[Check, ...]:
    """The `CHECK` of every file in this folder, in order of code, which is order of treatment."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}").CHECK for name in names)
