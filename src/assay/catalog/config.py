"""`assay.toml`: providers, models and tasks as a file, read whole, with errors that name the key."""

import logging
import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from assay.catalog.guards import GuardRule, parse_guards
from assay.catalog.known import nearest, unknown
from assay.catalog.models import ModelConfig, check_references, parse_model
from assay.errors import BadRequest
from assay.kit.names import check_name
from assay.providers.profiles import known_address
from assay.providers.registry import known_types
from assay.providers.types import SECRET_OPTIONS, ProviderConfig

log = logging.getLogger(__name__)

_SECTIONS = ("server", "providers", "models", "tasks", "guards")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The file's content. `server` and `tasks` are read further by the rooms that own them."""

    server: dict[str, Any] = {}
    providers: dict[str, ProviderConfig] = {}
    models: dict[str, ModelConfig] = {}
    tasks: dict[str, Any] = {}
    guards: tuple[GuardRule, ...] = ()
    warnings: tuple[str, ...] = ()


def load_config(path: Path | None, *, environ: Mapping[str, str] | None = None) -> Config:
    """Read the file, or `./assay.toml` if it is there, or nothing.

    Raises `BadRequest` naming the key, the variable or the file that is wrong. A route may lead to the provider `local`,
    which `open_catalog` adds; every other name must be in the file.
    """
    chosen = path or Path("assay.toml")
    try:
        text = chosen.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if path is None:
            return Config()
        raise BadRequest(f"There is no file {str(path)!r}", param="config") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{str(chosen)!r} cannot be read: {error}", param="config") from error
    return parse_config(text, environ=environ, folder=chosen.parent)


def parse_config(
    text: str, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Config:
    """The same from the text; `file:` references are relative to `folder`."""
    try:
        # Decimals from the start, so that no price passes through a float.
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"assay.toml is not TOML: {error}", param="config") from error
    for section, value in raw.items():
        if section not in _SECTIONS:
            raise unknown("assay.toml", section, _SECTIONS)
        if section != "guards":
            _need_table(section, value)
    warnings: list[str] = []
    sources = _Sources(os.environ if environ is None else environ, folder or Path(), warnings)
    providers = {name: _provider(name, table, sources) for name, table in raw.get("providers", {}).items()}
    models = {
        name: parse_model(name, _plain(table, keep="price")) for name, table in raw.get("models", {}).items()
    }
    check_references(models, {"local": None, **providers})
    for warning in warnings:
        log.warning(warning)
    return Config(
        server=_plain(raw.get("server", {})),
        providers=providers,
        models=models,
        tasks=_plain(raw.get("tasks", {})),
        guards=parse_guards("guards", _plain(raw.get("guards", [])), for_projects=True),
        warnings=tuple(warnings),
    )


class _Sources:
    """Where references point: `env:NAME` and `file:PATH`; `secret:NAME` stays as it is."""

    def __init__(self, environ: Mapping[str, str], folder: Path, warnings: list[str]) -> None:
        self._environ = environ
        self._folder = folder
        self._warnings = warnings

    def secret(self, field: str, given: Any, *, may_stand_here: bool = False) -> str:
        if not isinstance(given, str) or not given:
            raise BadRequest(f"{field} must be a text, e.g. 'env:OPENAI_API_KEY'", param=field)
        kind, _, rest = given.partition(":")
        if kind == "env":
            value = self._environ.get(rest, "")
            if not value:
                raise BadRequest(
                    f"{field} refers to the environment variable {rest!r}, which is not set",
                    param=field,
                    hint=f"Set it before the start: export {rest}=…",
                )
            return value
        if kind == "file":
            try:
                return (self._folder / Path(rest).expanduser()).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise BadRequest(
                    f"{field} refers to the file {rest!r}, which cannot be read: {error}", param=field
                ) from error
        if kind == "secret":
            check_name(rest, param=field)
            return given  # opened when the provider is built, so that it may be set while the server runs
        if may_stand_here:
            return given
        self._warnings.append(
            f"{field} holds the key itself; keep it out of the file with 'secret:NAME', 'env:NAME' or 'file:PATH'."
        )
        return given


def _provider(name: str, table: Any, sources: _Sources) -> ProviderConfig:
    where = f"providers.{name}"
    _need_table(where, table)
    plain = _plain(table)
    if not isinstance(plain.get("type"), str):
        raise BadRequest(
            f"{where}.type must say what it is",
            param=f"{where}.type",
            hint='Write e.g. type = "openai" (any server of that format), "llama" or "simulated".',
        )
    if plain["type"] not in known_types():
        raise BadRequest(
            f"{where}.type is {plain['type']!r}, which is no provider type",
            param=f"{where}.type",
            hint=nearest(plain["type"], known_types()) or f"Known: {', '.join(sorted(known_types()))}.",
        )
    base_url = plain.get("base_url")
    if base_url is not None and (
        not isinstance(base_url, str) or not base_url.startswith(("http://", "https://"))
    ):
        raise BadRequest(
            f"{where}.base_url is {base_url!r}: it must begin with http:// or https://",
            param=f"{where}.base_url",
        )
    keys = _keys(f"{where}.api_key", plain.get("api_key"), sources)
    secrets = {
        option: sources.secret(f"{where}.{option}", plain[option], may_stand_here=option == "access_key_id")
        for option in SECRET_OPTIONS
        if option in plain
    }
    return ProviderConfig(
        name=name,
        type=plain["type"],
        base_url=base_url or known_address(plain["type"], plain.get("profile")),
        api_key=keys[0] if keys else None,
        more_keys=keys[1:],
        options={
            **{name: value for name, value in plain.items() if name not in ("type", "base_url", "api_key")},
            **secrets,
        },
    )


def _keys(field: str, given: Any, sources: _Sources) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        return (sources.secret(field, given),)
    keys = tuple(sources.secret(f"{field}[{at}]", each) for at, each in enumerate(given))
    if not keys or len(set(keys)) < len(keys):
        raise BadRequest(f"{field} must name at least one key, and none of them twice", param=field)
    return keys


def _plain(value: Any, *, keep: str | None = None) -> Any:
    """Floats for everybody but prices (`keep`): only money needs every digit."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: inner if name == keep else _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _need_table(field: str, given: Any) -> None:
    if not isinstance(given, dict):
        raise BadRequest(f"{field} is {given!r}: it must be a table", param=field)
