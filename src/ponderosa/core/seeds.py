"""Seeds derived from what a request is, so that no request's seed depends on the order in which requests are made."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from e.g. (run seed, problem id, tree, node path, sample). Stable across machines and versions."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
