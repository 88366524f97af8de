"""Keys."""

from pathlib import Path
from typing import Any

import pytest

from coterie.errors import ConfigurationError
from orchestrator.access import Access, read_or_make_key

ACCESS = Access(require_key=True, chat_key="c" * 20, admin_key="a" * 20)


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    file = tmp_path / "home" / "admin.key"
    key = read_or_make_key(file)
    assert str(file) in caplog.text
    assert key not in caplog.text
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_or_make_key(file) == key
    assert read_or_make_key(tmp_path / "other.key") != key


def test_a_key_that_others_can_read_is_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    read_or_make_key(file)
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="delete it"):
        read_or_make_key(file)


def test_an_empty_key_file_opens_nothing(tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    file.touch(0o600)
    with pytest.raises(ConfigurationError, match="holds no key"):
        read_or_make_key(file)


def test_the_key_of_each_file_is_told_from_the_other() -> None:
    assert ACCESS.file_of("a" * 20) == "admin-file"
    assert ACCESS.file_of("c" * 20) == "chat-file"


@pytest.mark.parametrize("token", ["", "aaa", "é", "\udcff", "a" * 21])
def test_what_is_not_a_key_is_nobodys(token: str) -> None:
    assert ACCESS.file_of(token) is None


def test_a_key_is_not_shown_by_accident() -> None:
    assert "a" * 20 not in repr(ACCESS)
