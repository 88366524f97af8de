"""Fetches files of data sets from the Hugging Face hub, with its own client.

The client reads the hub's usual variables (``HF_TOKEN`` for data sets that want a consent,
``HF_HUB_OFFLINE``, ``HF_HOME``).  What may be kept lies in its cache; what is secret is read into
memory alone, each time.
"""

from __future__ import annotations

from pathlib import Path

from coterie.errors import ConfigurationError
from evals.tasks.options import HubFile


def download(file: HubFile) -> bytes:
    """The file's content.

    Raises :class:`ConfigurationError` where the client is not installed, the hub cannot be reached
    or does not give the file out.
    """
    try:
        from huggingface_hub import HfFileSystem, hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    except ImportError as error:
        raise ConfigurationError(
            f"{file.repo!r} is on the Hugging Face hub, and fetching it needs huggingface_hub: "
            "pip install 'coterie[tasks]', or set COTERIE_BENCHMARKS to a folder that has its files"
        ) from error
    try:
        if file.secret:
            place = f"datasets/{file.repo}/{file.path}"
            return bytes(HfFileSystem(skip_instance_cache=True).cat_file(place))
        return Path(hf_hub_download(file.repo, file.path, repo_type="dataset")).read_bytes()
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:
        raise ConfigurationError(_told(file, error)) from error
    except Exception as error:  # the client's HTTP library has errors of its own
        if not _is_network(error):
            raise
        raise ConfigurationError(_told(file, error)) from error


def _is_network(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("httpx", "httpcore", "requests")


def _told(file: HubFile, error: Exception) -> str:
    consent = "accept its terms there and set HF_TOKEN, or " if file.secret else ""
    return (
        f"{file.path!r} of {file.repo!r} could not be fetched from the Hugging Face hub "
        f"({type(error).__name__}): {consent}set COTERIE_BENCHMARKS to a folder that has it "
        "(docs/tasks.md)"
    )
