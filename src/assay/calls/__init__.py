"""One path to a model: live traffic, evaluations, judges and sentinels all call through here.

    call → plan (route, weights, fallbacks) → attempt (retries, timeouts) → answer → settle (usage, price, span)

The commit point: until an upstream has produced something a person could read, see or execute, another one may answer
instead; after it, a cut ends the answer with an error. Every exit settles: finish, cut, refusal, time-out, a client that
went away.
"""

from assay.calls.caller import Caller
from assay.calls.types import Answer, Call, CallContext, EmbeddingAnswer, SpanSink, StreamingAnswer

__all__ = ["Answer", "Call", "CallContext", "Caller", "EmbeddingAnswer", "SpanSink", "StreamingAnswer"]
