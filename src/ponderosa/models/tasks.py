"""Requests in tokens: what every decoding engine takes from its worker."""

from dataclasses import dataclass, field
from typing import NamedTuple

from ponderosa.core import Completion, Prompt, RefusedError, Sampling
from ponderosa.models.text import Stops, Text
from ponderosa.models.worker import Job


class Proposal(NamedTuple):
    """The arguments of `Policy.propose`."""

    prompt: Prompt
    n: int
    sampling: Sampling
    seed: int


ProposalJob = Job[Proposal, list[Completion]]


@dataclass(slots=True, eq=False)
class Task:
    """A proposal in tokens; a sample may have `limit` of them, and `cached` of the prompt's were known already."""

    job: ProposalJob
    prompt: list[int]
    stops: Stops
    limit: int
    cached: int = 0
    completions: dict[int, Completion] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return self.job.request.n

    def finish(self, sample: int, completion: Completion) -> None:
        """Keeps a completion, and answers the request with the last."""
        self.completions[sample] = completion
        if len(self.completions) == self.n:
            self.job.resolve([self.completions[i] for i in range(self.n)])


def make_task(job: ProposalJob, text: Text, context: int | None) -> Task | None:
    """None, and the job failed, if the prompt leaves no room in a model that sees `context` tokens."""
    prompt = text.encode(job.request.prompt.text)
    limit = job.request.sampling.max_tokens
    if context is not None:
        limit = min(limit, context - len(prompt))
    if not prompt or limit <= 0:
        job.fail(
            RefusedError(
                f"a prompt of {len(prompt)} tokens leaves no room to generate in the model's context of {context}: "
                "shorten the question or the few-shot examples, or allow fewer steps"
            )
        )
        return None
    return Task(job, prompt, text.stops(job.request.sampling.stop), limit)
