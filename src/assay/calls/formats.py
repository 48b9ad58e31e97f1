"""Which format a provider is asked in, when it does not speak the client's."""

from assay.calls.types import Call
from assay.catalog.models import ModelConfig
from assay.providers.completions import CompletionsOverChat
from assay.providers.messages import MessagesOverChat
from assay.providers.types import MessagesProvider, Provider
from assay.wire.requests import ChatRequest


def speaking(provider: Provider, call: Call, model: ModelConfig) -> Provider:
    """The provider itself, or one that translates for it."""
    if call.endpoint == "completions" and (
        model.completions == "chat" or isinstance(call.request, ChatRequest)  # a task's variant is a chat
    ):
        return CompletionsOverChat(provider)
    if call.endpoint == "messages" and not isinstance(provider, MessagesProvider):
        return MessagesOverChat(provider)
    return provider
