"""What lies behind a server: what an encoder and a reranker of a server have in common."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from mlbench.common.errors import EnvironmentFault, Fault, ModelError
from mlbench.models.endpoint.options import ServerOptions, address_of
from mlbench.models.endpoint.server import Address, Server

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache

Given = TypeVar("Given", bound=ServerOptions)


class Served(Generic[Given]):
    """A model that a server has under the name ``model``; ``where`` names it in messages.

    ``of_file`` says whether a model file gave the options. Nothing is sent before something asks
    for the identity or for what the model computes.
    """

    cacheable = True

    def __init__(
        self, model: str, where: str, options: Given, cache: EmbeddingCache | None, of_file: bool
    ) -> None:
        self.name = options.name or model
        self._model, self._given, self._cache = model, options, cache
        self._of_file = of_file
        self._where = where

    @cached_property
    def _server(self) -> Server:
        if self._given.offline:
            found = "is behind an endpoint, and the network may not be used"
            raise EnvironmentFault(Fault(self._where, found, mend="leave --offline out"))
        return Server(self._address(), self._where, self._given.concurrency, self._given.timeout)

    def _address(self) -> Address:
        return address_of(self._given, of_file=self._of_file)

    @property
    def _place(self) -> str:
        """What messages about answers name: the model and its server."""
        return f"{self._where} at {self._server.url}"

    def _refuse(self, found: str, expected: str = "") -> NoReturn:
        raise ModelError(Fault(self._place, f"returned {found}", expected))
