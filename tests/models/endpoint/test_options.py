from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import UsageError
from mlbench.common.trust import trust
from mlbench.models.endpoint.options import (
    Address,
    EndpointOptions,
    address_of,
    demands_of,
    parse_options,
    read_endpoint_file,
)
from tests.models.endpoint.conftest import KEY


def written(folder: Path, text: str) -> Path:
    path = folder / "model.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_request_holds() -> None:
    options = parse_options(
        {
            "query_model": "m-query",
            "dimensions": 16,
            "body": {"truncate": True, "kind": "both"},
            "query_body": {"input_type": "query"},
            "passage_body": {"kind": "passage"},
        },
        "model.toml",
    )
    assert options.of_role("query", "m") == {
        "model": "m-query",
        "encoding_format": "float",
        "dimensions": 16,
        "truncate": True,
        "kind": "both",
        "input_type": "query",
    }
    assert options.of_role("passage", "m") == {
        "model": "m",
        "encoding_format": "float",
        "dimensions": 16,
        "truncate": True,
        "kind": "passage",
    }
    assert EndpointOptions().of_role("query", "m") == {"model": "m", "encoding_format": "float"}


def test_options_of_the_command_line() -> None:
    given = {"query_prompt": "q: ", "truncate_dim": "256", "dtype": "float16", "name": "n"}
    options = parse_options(given)
    assert (options.query_prompt, options.dimensions, options.dtype) == ("q: ", 256, "float16")
    with pytest.raises(UsageError) as caught:
        parse_options({"pooling": "mean", "batch_tokens": 5, "similarity": "euclid"})
    text = str(caught.value)
    assert "--pooling: is for models that run on this machine" in text
    assert "--batch-tokens: is for models" in text
    assert "'euclid'" in text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("base_url", "localhost:8080/v1", "http:// or https://"),
        ("base_url", "ftp://host/v1", "http:// or https://"),
        ("base_url", "http://host:port/v1", "no address"),
        ("base_url", "http:///v1", "http:// or https://"),
        ("base_url", "http://a b/v1", "http:// or https://"),
        ("base_url", 7, "no string"),
        ("dimensions", 0, "whole number from 1"),
        ("batch_size", "many", "whole number from 1"),
        ("timeout", 0, "number of seconds above 0"),
        ("timeout", "long", "number of seconds above 0"),
        ("query_body", "text", "table of JSON values"),
        ("query_body", {"input": "x"}, "a table with 'input'"),
        ("body", {"when": object()}, "a value that JSON cannot hold"),
        ("body", {"what": float("nan")}, "a value that JSON cannot hold"),
        ("dtype", "float8", "one of float32"),
        ("bas_url", "http://host/v1", "did you mean 'base_url'"),
    ],
)
def test_wrong_options(field: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_options({field: value}, "model.toml")
    assert f"model.toml, field {field}" in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", f"http://user:{KEY}@host/v1"),
        ("base_url", f"http://{KEY}@host/v1"),
        ("base_url", f"http://host/v1?key={KEY}"),
        ("base_url", f"http://host/v1#{KEY}"),
        ("base_url", f"//user:{KEY}@host:port"),
        ("api_key", f"{KEY}\n{KEY}"),
        ("api_key", f"{KEY} {KEY}"),
        ("api_key", f"{KEY}é"),
        ("api_key", [KEY]),
        ("api_key", {"is": KEY}),
    ],
)
def test_a_secret_that_does_not_fit_is_not_shown(field: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options({field: value}, "model.toml")
    assert KEY not in str(caught.value)
    assert field in str(caught.value)


def test_a_secret_of_the_environment_that_does_not_fit_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY} {KEY}")
    with pytest.raises(UsageError, match="OPENAI_API_KEY: a value that is no key") as caught:
        address_of(EndpointOptions())
    assert KEY not in str(caught.value)
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://{KEY}@host")
    with pytest.raises(UsageError, match="OPENAI_BASE_URL: an address with a user") as caught:
        address_of(EndpointOptions())
    assert KEY not in str(caught.value)


def test_a_key_is_not_in_what_is_printed_of_options() -> None:
    options = parse_options({"api_key": f" {KEY}\n"}, "model.toml")
    assert options.api_key == KEY
    assert KEY not in repr(options)
    assert KEY not in repr(address_of(options))


def test_the_server_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="OPENAI_API_KEY: is not set"):
        address_of(EndpointOptions())
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert address_of(EndpointOptions()) == Address("https://api.openai.com/v1", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/")
    assert address_of(EndpointOptions()) == Address("http://127.0.0.1:8000/v1", KEY)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert address_of(EndpointOptions()) == Address("http://127.0.0.1:8000/v1", None)


def test_the_key_of_the_environment_goes_to_its_server_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file is a stranger's perhaps: it cannot have the user's key sent to its own server."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    elsewhere = EndpointOptions(base_url="https://elsewhere.example/v1")
    assert address_of(elsewhere, of_file=True).key is None
    assert address_of(elsewhere, of_file=False).key == KEY
    assert address_of(EndpointOptions(), of_file=True).key == KEY
    for same in ("https://api.openai.com/v1", "https://API.openai.com:443/other"):
        assert address_of(EndpointOptions(base_url=same), of_file=True).key == KEY
    for other in (
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.example/v1",
    ):
        assert address_of(EndpointOptions(base_url=other), of_file=True).key is None
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example/v2")
    assert address_of(elsewhere, of_file=True).key == KEY


def test_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://host/v1"
    assert address_of(EndpointOptions(base_url=url, api_key=KEY), of_file=True) == Address(url, KEY)
    named = EndpointOptions(base_url=url, api_key_variable="MY_KEY")
    with pytest.raises(UsageError, match="MY_KEY: is not set"):
        address_of(named, of_file=True)
    monkeypatch.setenv("MY_KEY", KEY)
    assert address_of(named, of_file=True) == Address(url, KEY)
    with pytest.raises(UsageError, match="both given"):
        parse_options({"api_key": KEY, "api_key_variable": "MY_KEY"}, "model.toml")


def test_a_model_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'model = "openai:org/m:v2"\nbase_url = "http://host/v1/"\n[query_body]\ninput_type = "q"\n',
    )
    file = read_endpoint_file(path)
    assert file.model == "org/m:v2"
    options = parse_options(file.values, str(path))
    assert options.base_url == "http://host/v1"
    assert options.query_body == {"input_type": "q"}


@pytest.mark.parametrize("text", ["", "model = 7", 'model = "openai:"', 'model = "other:m"'])
def test_a_model_file_that_names_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r'field model: .*\n.*"openai:"'):
        read_endpoint_file(written(tmp_path, text))


def test_a_broken_model_file_does_not_show_its_key(tmp_path: Path) -> None:
    path = written(tmp_path, f'model = "openai:m"\napi_key = "{KEY}\n')
    with pytest.raises(UsageError, match="broken TOML") as caught:
        read_endpoint_file(path)
    assert KEY not in str(caught.value)


def test_what_a_model_file_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBENCH_CONFIG", str(tmp_path / "config"))
    path = written(tmp_path, f'model = "openai:m"\napi_key = "{KEY}"\n')
    assert demands_of(path, read_endpoint_file(path)) == []
    path = written(tmp_path, 'model = "openai:m"\napi_key_variable = "GITHUB_TOKEN"\n')
    (demand,) = demands_of(path, read_endpoint_file(path))
    assert demand.field == "api_key_variable"
    assert "GITHUB_TOKEN holds to https://api.openai.com/v1" in demand.what
    trust([demand])
