"""Finds the suites: every module suite_NAME.py beside this one. README.md says what is in them."""

import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIRED = ("NAME", "ABOUT", "run")


def find(folder=HERE):
    """Name -> module, in the order of ORDER (100 if a module says nothing), then of the name."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
    modules = []
    for file in sorted(os.listdir(folder)):
        if not (file.startswith("suite_") and file.endswith(".py")):
            continue
        module = importlib.import_module(file[:-3])
        lacking = [word for word in REQUIRED if not hasattr(module, word)]
        if lacking:
            raise ImportError(f"{file} lacks {', '.join(lacking)}")
        if file != f"suite_{module.NAME}.py":
            raise ImportError(f"{file} calls itself {module.NAME}")
        modules.append(module)
    modules.sort(key=lambda module: (getattr(module, "ORDER", 100), module.NAME))
    return {module.NAME: module for module in modules}


def networks(module, options):
    """The kinds of tools/lab that a suite needs: NEEDS_NETWORK, less those that --place rules out.

    NEEDS_NETWORK is a tuple, or a function of the options.
    """
    needed = getattr(module, "NEEDS_NETWORK", ())
    kinds = needed(options) if callable(needed) else needed
    return [kind for kind in kinds if not options.place or kind in options.place]
