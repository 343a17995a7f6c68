"""What a chat model looks like to the rest of the project.

A stage builds `ChatRequest`s, a `ChatClient` answers with `Completion`s, a stage parses them. One
request may ask for several samples of the same messages; each sample carries its own seed, because
engines derive the seeds of an n-request from one number and a missing sample must be askable alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample one completion: `max_tokens` counts generated tokens only."""

    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One wanted completion of a request; `seed` is all that tells it from its siblings."""

    index: int
    seed: int


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One prompt and the samples wanted of it. `request_id` is unique within one `complete` call
    and comes back on every completion; `json_schema` (JSON text) is honoured where the client can
    and is part of the identity of the completion either way."""

    request_id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    samples: tuple[Sample, ...]
    json_schema: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One sample of one request. `text` is the answer alone; reasoning that the model kept apart
    is in `reasoning`. `truth` is what the simulated supervisor planted, as JSON: the generation log
    puts it into a side table and takes it off before any stage sees the completion."""

    request_id: str
    sample_index: int
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    reasoning: str | None = None
    truth: str | None = None
    generation_id: str | None = None


class ChatClient(Protocol):
    """Anything that completes chat requests.

    `fingerprint` names the model itself (weights revision or hash, server's model id, simulator's
    rates), never only its path. `complete` yields completions as they finish, in any order, each
    exactly once; it reads `requests` lazily and keeps a bounded number in flight. It raises
    `ClientError` where the model cannot be reached; a refusal or an over-long prompt is a
    completion whose `finish_reason` says so.
    """

    @property
    def fingerprint(self) -> str: ...

    def complete(self, requests: Iterable[ChatRequest]) -> Iterator[Completion]: ...

    def close(self) -> None: ...
