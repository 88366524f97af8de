"""Keys."""

from pathlib import Path

import pytest

from coterie.errors import AccessDenied, ConfigurationError
from orchestrator.access import Access, read_or_make_key

ACCESS = Access(require_key=True, chat_key="c" * 20, admin_key="a" * 20)


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "home" / "admin.key"
    key = read_or_make_key(file)
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


def test_the_admin_may_chat_but_not_the_other_way_round() -> None:
    ACCESS.check_chat(f"Bearer {'a' * 20}")
    ACCESS.check_chat(f"bearer {'c' * 20}")
    ACCESS.check_admin(f"Bearer {'a' * 20}")
    with pytest.raises(AccessDenied):
        ACCESS.check_admin(f"Bearer {'c' * 20}")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic aaa", "a" * 20, "Bearer é"]
)
def test_what_is_not_a_key_is_refused(header: str | None) -> None:
    with pytest.raises(AccessDenied) as refused:
        ACCESS.check_chat(header)
    assert "a" * 20 not in str(refused.value)


def test_no_key_is_needed_where_none_is_required() -> None:
    Access(require_key=False, chat_key="c" * 20, admin_key="a" * 20).check_chat(None)
