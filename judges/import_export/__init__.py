"""Verdicts in and out: JSONL, alpaca_eval annotations, FastChat judgment files, both ways.

Imports compute the key that the same request would have here, so an imported verdict is found
where it is needed and no judge is called again.
"""

from judges.import_export.alpaca_eval import (
    ExpectedAnnotations,
    export_alpaca_eval,
    import_alpaca_eval,
)
from judges.import_export.fastchat import Judgments, export_fastchat, import_fastchat
from judges.import_export.jsonl import export_jsonl, import_jsonl
from judges.import_export.pairwise_verdicts import import_pairwise

__all__ = [
    "ExpectedAnnotations",
    "Judgments",
    "export_alpaca_eval",
    "export_fastchat",
    "export_jsonl",
    "import_alpaca_eval",
    "import_fastchat",
    "import_jsonl",
    "import_pairwise",
]
