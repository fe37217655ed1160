"""One request to an endpoint that speaks OpenAI's chat completions, through the openai client."""

from dataclasses import dataclass, field

from svdlens.labels.llm.ledger import Reply, Request


@dataclass(frozen=True)
class Endpoint:
    """Whom to ask. `key` is a secret, empty for a server that wants none. `timeout`: seconds for one attempt.
    `retries`: attempts after the first. Prices are per million tokens."""

    base_url: str
    key: str = field(repr=False)
    timeout: float = 60.0
    retries: int = 6
    price_in: float = 0.0
    price_out: float = 0.0


class RequestFailed(Exception):
    """One request got no reply. `reason`: for logs and tables; never a label, and without the key."""

    def __init__(self, reason: str, retryable: bool) -> None:
        super().__init__(reason)
        self.reason, self.retryable = reason, retryable


async def send(client: object, endpoint: Endpoint, request: Request) -> Reply:
    raise NotImplementedError
