"""Which provider types exist, and the ones that are in use.

A type is a thunk: it imports its code when the first provider of that type is built, and names the extra that is
missing. Third parties add types through the entry-point group `assay.providers`; built-ins are in the same table.
"""

import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

import msgspec

from assay.errors import BadRequest, UpstreamDown
from assay.providers.types import SECRET_OPTIONS, Provider, ProviderConfig, Transport

log = logging.getLogger(__name__)

Build = Callable[[ProviderConfig, Transport], Provider]
Reveal = Callable[[str | None], str | None]


def _from(module: str) -> Build:
    """The `build` of a module that is imported when the first provider of its type is made."""

    def build(config: ProviderConfig, transport: Transport) -> Provider:
        return cast("Provider", import_module(module).build(config, transport))

    return build


BUILT_IN: Mapping[str, Build] = {
    "openai": _from("assay.providers.openai"),
    "ai21": _from("assay.providers.ai21"),
    "anthropic": _from("assay.providers.anthropic"),
    "cohere": _from("assay.providers.cohere"),
    "bedrock": _from("assay.providers.bedrock"),
    "gemini": _from("assay.providers.gemini"),
    "huggingface": _from("assay.providers.huggingface"),
    "simulated": _from("assay.providers.simulated"),
    "llama": _from("assay.providers.llama"),
}


def known_types() -> frozenset[str]:
    """The names of every type, without loading any."""
    return frozenset(BUILT_IN) | entry_points(group="assay.providers").names


def types() -> dict[str, Build]:
    """Every known type, built-in or installed."""
    found: dict[str, Build] = dict(BUILT_IN)
    for point in entry_points(group="assay.providers"):
        found.setdefault(point.name, point.load())
    return found


class Providers:
    """The configured providers; each is built when it is first asked for, once for each of its keys."""

    def __init__(
        self, configs: Mapping[str, ProviderConfig], transport: Transport, *, reveal: Reveal = lambda key: key
    ) -> None:
        """`reveal` gives the key that a configuration's text stands for; what it raises, the call fails with."""
        self._configs = configs
        self._reveal = reveal
        self._transport = transport
        self._built: dict[tuple[str, int], Provider] = {}

    def get(self, name: str, key: int = 0) -> Provider:
        """The provider of that name, with one of its keys. Raises `BadRequest` for a name or type that is not configured."""
        built = self._built.get((name, key))
        return built if built is not None else self._build(name, key)

    def keys(self, name: str) -> int:
        """How many keys a provider has, at least 1."""
        config = self._configs.get(name)
        return 1 if config is None else len(config.keys)

    def build_all(self) -> None:
        """Build every one now, so that a mistake in the configuration is found at the start. Nothing is connected."""
        for name, config in self._configs.items():
            for key in range(len(config.keys)):
                try:
                    self.get(name, key)
                except UpstreamDown as error:  # a secret that is not set: it may be at any time
                    log.warning("Provider %r cannot be used: %s. %s", name, error.message, error.hint or "")

    def renew(self, is_about: Callable[[str], bool]) -> None:
        """Build every provider anew that has such a key; calls that run go on with the one they began with."""
        for name, config in self._configs.items():
            for at in range(len(config.keys)):
                if any(is_about(text) for text in config.secrets(at)):
                    try:
                        self._build(name, at)
                    except UpstreamDown:
                        self._built.pop((name, at), None)

    async def aclose(self) -> None:
        """Stop what was built, then the network."""
        built, self._built = list(self._built.values()), {}
        for provider in built:
            await provider.aclose()
        await self._transport.aclose()

    def prepare(self, configs: Mapping[str, ProviderConfig]) -> dict[tuple[str, int], Provider]:
        """Build what differs in other configurations, without using it. Raises `BadRequest` for what cannot be built."""
        made = {}
        for name, config in configs.items():
            if config != self._configs.get(name):
                for key in range(len(config.keys)):
                    try:
                        made[name, key] = self._made(config, key)
                    except UpstreamDown as error:  # a secret that is not set, as at the start
                        log.warning(
                            "Provider %r cannot be used: %s. %s", name, error.message, error.hint or ""
                        )
        return made

    def adopt(
        self, configs: Mapping[str, ProviderConfig], made: Mapping[tuple[str, int], Provider]
    ) -> list[Provider]:
        """Use these configurations from now on, with what was prepared for them. Returns the providers that no new call
        reaches; those that run go on with them."""
        gone = [key for key in self._built if key in made or self._configs.get(key[0]) != configs.get(key[0])]
        dropped = [self._built.pop(key) for key in gone]
        self._built.update(made)
        return dropped

    def _build(self, name: str, key: int) -> Provider:
        config = self._configs.get(name)
        if config is None:
            known = ", ".join(sorted(self._configs)) or "none"
            raise BadRequest(
                f"There is no provider {name!r}", hint=f"Configured: {known}. Add [providers.{name}]."
            )
        built = self._built[name, key] = self._made(config, key)
        return built

    def _made(self, config: ProviderConfig, key: int) -> Provider:
        known_types = types()
        if config.type not in known_types:
            raise BadRequest(
                f"Provider {config.name!r} has the unknown type {config.type!r}",
                hint=f"Known: {', '.join(sorted(known_types))}.",
            )
        revealed = self._reveal(config.keys[key])
        options = {
            option: self._reveal(value) if option in SECRET_OPTIONS and isinstance(value, str) else value
            for option, value in config.options.items()
        }
        keyed = msgspec.structs.replace(config, api_key=revealed, more_keys=(), options=options)
        return known_types[config.type](keyed, self._transport)
