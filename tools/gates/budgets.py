"""What budgets.json5 says."""

import json
import os
import re

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "budgets.json5")


def load_budgets():
    """Of JSON5 only comments, bare keys and trailing commas are used."""
    with open(PATH) as file:
        text = re.sub(r"^\s*//.*$", "", file.read(), flags=re.MULTILINE)
    text = re.sub(r"([{,]\s*)(\w+)\s*:", r'\1"\2":', text)
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", text))
