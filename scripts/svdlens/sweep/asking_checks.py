"""Checks of the configuration of labellers that ask a server: whether it says whom, and has no key in it."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from svdlens.labels.registry import LABELLERS
from svdlens.sweep.plan import Sweep

SUCH_AS = {"base_url": "https://api.openai.com/v1", "model": "NAME"}


def check_asking(config: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong in the configuration of a labeller that asks a server: a key in it, whether the
    labeller is used or not; and where it is, what is missing or does not go together."""
    used = {*config["sweep"]["labellers"], config.get("labeller")}
    for labeller in [name for name, entry in LABELLERS.items() if entry.asks]:
        own = Sweep(config).labeller_config(labeller)
        if problem := secret_in(own, labeller):
            return problem
        if labeller in used and (problem := lacking(own, labeller) or at_odds(own, labeller, config)):
            return problem
    return None


def secret_in(own: Mapping[str, Any], labeller: str) -> str | None:
    """Where a key stands, or may stand. It is not repeated: what is printed may be kept."""
    variable = own.get("key_variable")
    if variable and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
        return (
            f"labellers.{labeller}.key_variable is no name of an environment variable. Write the name, such as "
            "OPENAI_API_KEY, and put the key into the environment. If this is the key itself, take it out of the file."
        )
    try:
        parts = urlsplit(own.get("base_url", ""))
    except ValueError:
        return f"labellers.{labeller}.base_url is no address. Write one such as {SUCH_AS['base_url']}."
    if parts.username or parts.password or parts.query or parts.fragment:
        return (
            f"labellers.{labeller}.base_url has a user, a password, or something after ? or #. Write the address "
            f"alone, such as {SUCH_AS['base_url']}; a key belongs into the environment, see key_variable."
        )
    return None


def lacking(own: Mapping[str, Any], labeller: str) -> str | None:
    needed = [key for key in LABELLERS[labeller].needed if not (key == "base_url" and own["replay"])]
    missing = [key for key in needed if key not in own]
    if not missing:
        return None
    keys = ", ".join(f"{key}: {SUCH_AS[key]}" for key in missing)
    return f"the labeller {labeller} needs {' and '.join(missing)}. Write labellers: {{{labeller}: {{{keys}}}}}."


def at_odds(own: Mapping[str, Any], labeller: str, config: Mapping[str, Any]) -> str | None:
    """Values that do not go together."""
    if own["tokens"] > config["tokens"]:
        return (
            f"labellers.{labeller}.tokens: {own['tokens']} are more than the {config['tokens']} that are kept of each "
            f"list. Write tokens: {own['tokens']} at the top level, or fewer here."
        )
    if "max_cost" in own and not any(own["price"].values()):
        return (
            f"labellers.{labeller}.max_cost: without a price nothing costs anything. Write price: {{input: ..., "
            "output: ...}, for a million tokens, or limit max_requests."
        )
    return None
