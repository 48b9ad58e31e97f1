"""Which format a provider is asked in, when it does not speak the client's."""

from assay.calls.types import Call
from assay.catalog.models import ModelConfig
from assay.providers.completions import CompletionsOverChat
from assay.providers.messages import MessagesOverChat
from assay.providers.responses import ResponsesOverChat, ResponsesProvider
from assay.providers.types import MessagesProvider, Provider
from assay.wire.requests import ChatRequest
from assay.wire.responses_api import ResponsesRequest


def speaking(provider: Provider, call: Call, model: ModelConfig) -> Provider:
    """The provider itself, or one that translates for it."""
    if call.endpoint == "completions" and (
        model.completions == "chat" or isinstance(call.request, ChatRequest)  # a task's variant is a chat
    ):
        return CompletionsOverChat(provider)
    if call.endpoint == "messages" and not isinstance(provider, MessagesProvider):
        return MessagesOverChat(provider)
    if call.endpoint == "responses" and not _has_responses(provider, call, model):
        return ResponsesOverChat(provider)
    return provider


def _has_responses(provider: Provider, call: Call, model: ModelConfig) -> bool:
    """Whether it is asked in this format: the model says, else the provider knows. A task's variant is a chat already."""
    if not isinstance(provider, ResponsesProvider) or not isinstance(call.request, ResponsesRequest):
        return False
    return provider.has_responses if model.responses is None else model.responses
