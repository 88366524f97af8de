"""The vocabulary Coterie's packages share: domain types, ports, errors, database, telemetry.

Nothing in here imports any other package of ours.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("coterie")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
