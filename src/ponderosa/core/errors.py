"""Errors that a user can act on. Whatever a rollout may do wrong is an `Outcome` instead, never an exception."""


class PonderosaError(Exception):
    """A failure with one clear line that says what happened and what to do; the command line prints just that line."""


class BackendError(PonderosaError):
    """A model, an executor or a grader cannot serve. It ends the run, which goes on from there when it is mended."""


class RefusedError(BackendError):
    """A backend serves, but not this request. Search records it as `Outcome.BACKEND_FAILED` of the one problem."""
