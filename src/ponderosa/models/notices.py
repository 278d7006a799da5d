"""What a person should know while models are waited for, e.g. that a server is away: by its address, while it holds."""

NOTICES: dict[str, str] = {}
