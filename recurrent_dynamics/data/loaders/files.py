"""Files of packages that are not imported."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def package_file(module: str, package: str, purpose: str, *parts: str) -> Path:
    """The path of a data file in an installed package. The package is found, and not imported.

    Parameters
    ----------
    module : str
        The name under which it would be imported.
    package : str
        The name under which it is installed.
    purpose : str
        What needs it, for the error.
    parts : str
        Folders and name of the file in the package.

    Raises
    ------
    ModuleNotFoundError
        When the package is not installed: which one to install.
    FileNotFoundError
        When the installed version does not have the file.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"{purpose} needs the package {package}, which is not installed; `pip install {package}` brings it",
            name=module,
        )
    path = Path(next(iter(spec.submodule_search_locations)), *parts)
    if not path.is_file():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "of an unknown version"
        raise FileNotFoundError(
            f"{purpose} needs {'/'.join(parts)} of the package {package}; {found} lacks it"
        )
    return path
